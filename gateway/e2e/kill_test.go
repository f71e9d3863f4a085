package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/gateway/token"
)

// What a user heard.
type heard struct {
	outcome       string
	share, amount int64
}

// TestNoFenIsLostThroughKills draws a red packet of 16,000 shares by 20,000
// users over 64 clients, who repeat what got no answer, while gateway, settle,
// memcached and Redis are killed again and again.
func TestNoFenIsLostThroughKills(t *testing.T) {
	const users, shares, amount, clients = 20_000, 16_000, 16_000_000, 64
	h := startHouse(t)
	funder := newClient(h.addr, h.token("sender", "fund"))
	id := fund(t, funder, fmt.Sprintf(`{"amount":%d,"count":%d,"min":1,"max":200000}`, amount, shares))

	ring, err := token.NewRing([]token.Key{{ID: "k1", Algorithm: "HS256", Secret: testSecret}}, 0, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var results [users]heard
	var next, finished atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c := newClient(h.addr, "")
			for {
				u := next.Add(1) - 1
				if u >= users {
					return
				}
				c.token, _ = ring.Mint(token.Claims{UID: fmt.Sprintf("u%d", u)}, time.Hour)
				results[u] = drawUntilAnswered(c, id)
				finished.Add(1)
			}
		})
	}
	kills := killAround(h, func() float64 { return float64(finished.Load()) / users })
	wg.Wait()
	t.Logf("%d kills", kills())

	check(t, h, id, amount, shares, results[:])
}

// drawUntilAnswered repeats a draw until there is an outcome, as a client does
// that lost a reply or was told "later".
func drawUntilAnswered(c *client, id string) heard {
	for range 3000 {
		a, err := c.try("POST", "/v1/redpackets/"+id+"/draw", "")
		if err == nil && a.Status == 200 {
			return heard{a.str("outcome"), a.num("share"), a.num("amount")}
		}
		if err == nil && a.Status != 503 {
			return heard{outcome: fmt.Sprintf("%d %s", a.Status, a.Body)}
		}
		time.Sleep(time.Duration(10+rand.IntN(40)) * time.Millisecond)
	}
	return heard{outcome: "never answered"}
}

// killAround kills one part after the other, each twice, spread over the run;
// the function it returns waits for the last one and counts.
func killAround(h *house, progress func() float64) func() int {
	restart := func(p *process) func() {
		return func() { p.kill(); time.Sleep(50 * time.Millisecond); p.start() }
	}
	parts := []func(){
		restart(h.gateway), restart(h.settle),
		func() { h.memcached.Kill(); h.memcached.Start() },
		func() { h.redis.Kill(); time.Sleep(50 * time.Millisecond); h.redis.Start() },
	}
	order := append(append([]func(){}, parts...), parts...) // Redis dies at 40 and 80 %
	count := make(chan int, 1)
	go func() {
		for i, kill := range order {
			for want := 0.9 * float64(i+1) / float64(len(order)+1); progress() < want; {
				time.Sleep(time.Millisecond)
			}
			kill()
		}
		count <- len(order)
	}()
	return func() int { return <-count }
}

// check proves what the users heard against the ledger.
func check(t *testing.T, h *house, id string, amount int64, shares int, results []heard) {
	t.Helper()
	takenBy := map[int64]int{}
	var sum int64
	winners := 0
	for u, r := range results {
		switch r.outcome {
		case "won", "already":
			if other, taken := takenBy[r.share]; taken {
				t.Errorf("share %d won by u%d and u%d", r.share, other, u)
			}
			takenBy[r.share] = u
			sum += r.amount
			winners++
		case "soldout":
		default:
			t.Errorf("u%d heard %q", u, r.outcome)
		}
	}
	if winners != shares || sum != amount {
		t.Errorf("%d winners hold %d fen, want %d and %d", winners, sum, shares, amount)
	}
	var out string
	eventually(t, time.Minute, func() error {
		text, code := sluice(t, "redpacket", "reconcile", "-c", h.file, id)
		out = text
		if code != 0 {
			return fmt.Errorf("exit %d:\n%s", code, text)
		}
		if !zero(text, "unsettled") {
			return fmt.Errorf("still unsettled:\n%s", text)
		}
		return nil
	})
	t.Logf("reconcile:\n%s", out)
	checkLedger(t, h, id, results)
}

// zero says whether the report's line of that name is 0.
func zero(report, name string) bool {
	for line := range strings.Lines(report) {
		f := strings.Fields(line)
		if len(f) >= 2 && strings.TrimSuffix(f[0], ":") == name {
			return f[1] == "0"
		}
	}
	return false
}

// checkLedger compares each user's award with what he heard.
func checkLedger(t *testing.T, h *house, id string, results []heard) {
	t.Helper()
	c := newClient(h.addr, h.token("auditor", ""))
	won := map[string]heard{}
	for page := ""; ; {
		a := c.do(t, "GET", "/v1/redpackets/"+id+"/winners?page="+page, "")
		if a.Status != 200 {
			t.Fatalf("winners: %d %s", a.Status, a.Body)
		}
		list, _ := a.JSON["winners"].([]any)
		for _, one := range list {
			w := one.(map[string]any)
			uid := w["uid"].(string)
			if _, twice := won[uid]; twice {
				t.Errorf("%s is in the list of winners twice", uid)
			}
			won[uid] = heard{"won", int64(w["share"].(float64)), int64(w["amount"].(float64))}
		}
		if page = a.str("next"); page == "" {
			break
		}
	}
	for u, r := range results {
		w, ok := won[fmt.Sprintf("u%d", u)]
		switch {
		case r.outcome == "soldout" && ok:
			t.Errorf("u%d won share %d and heard soldout", u, w.share)
		case r.outcome != "soldout" && (!ok || w.share != r.share || w.amount != r.amount):
			t.Errorf("u%d heard %+v, recorded is %+v", u, r, w)
		}
	}
}
