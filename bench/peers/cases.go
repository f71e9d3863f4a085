package main

import (
	"fmt"

	"sluice/bench/load/scenario"
)

// program is what users do in a case; winners begin where the last run's ended.
func program(name string, p *peer) (*scenario.Program, error) {
	vars := map[string][]string{}
	text := ""
	loser := "users: {prefix: l, count: 1000}\n"
	winner := fmt.Sprintf("users: {prefix: v, first: %d}\n", p.users)
	draw := "steps: [{draw: {redpacket: \"${rp}\", expect: {status: [200], outcomes: [%s]}}}]\n"
	switch name {
	case "hello":
		text = "steps: [{request: {path: /hello, no_token: true}}]"
	case "get":
		text = "steps: [{request: {path: /get/x, no_token: true}}]"
	case "win":
		vars["rp"] = p.open
		text = winner + fmt.Sprintf(draw, "won")
	case "lose":
		vars["rp"] = []string{p.sold}
		text = loser + fmt.Sprintf(draw, "soldout")
	case "mixed", "soak":
		for i := range 20 * len(p.open) {
			id := p.sold
			if i%20 == 0 {
				id = p.open[i/20]
			}
			vars["rp"] = append(vars["rp"], id)
		}
		outcomes := "won, soldout"
		if name == "soak" { // longer than there are users: they come back
			winner, outcomes = fmt.Sprintf("users: {prefix: v, count: %d}\n", winners), outcomes+", already"
		}
		text = winner + fmt.Sprintf(draw, outcomes)
	case "enter":
		text = loser + "steps: [{enter: {room: " + roomID + "}}]"
	default:
		return nil, fmt.Errorf("peers: no case is called %q", name)
	}
	return scenario.Parse([]byte("name: "+name+"\n"+text), vars)
}
