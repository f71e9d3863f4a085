package scenario

import (
	"errors"
	"strings"
	"testing"
)

const night = `
name: night
users: {count: 100, prefix: u, width: 4, first: 1}
vars: {room: [r1, r2]}
setup:
  - fund: {as: rp, times: 2, amount: 1000, count: 10, opens_in: 2s}
steps:
  - enter: {room: "${room}"}
  - think: 200ms..2s
  - repeat:
      times: 5
      until: [won]
      steps:
        - draw: {redpacket: "${rp}", expect: {status: [200, 503], outcomes: [won, soldout]}, extract: {share: share}}
  - request: {name: top, path: "/x/${uid}/${n}/${seq}/${share}", body: "b", headers: {X-A: "${uid}"}}
`

func TestScenarioCompilesToOperations(t *testing.T) {
	p, err := Parse([]byte(night), nil)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	for _, op := range p.Ops {
		kinds = append(kinds, op.Kind)
	}
	if want := []Kind{Send, Think, Begin, Send, Again, Send}; len(kinds) != len(want) || kinds[4] != Again || p.Ops[4].Jump != 3 || p.Ops[4].Times != 5 {
		t.Fatalf("operations %v", kinds)
	}
	if len(p.Funds) != 1 || p.Funds[0].Times != 2 || p.Funds[0].Body["amount"] != int64(1000) {
		t.Errorf("funds %+v", p.Funds)
	}
	p.Lists[p.Funds[0].List] = []string{"A", "B"}
	var locals [MaxLocals][]byte
	locals[0] = []byte("7")
	s := &Scope{UID: p.Users.AppendUID(nil, 41), Number: 41, Seq: 9, Locals: &locals, Lists: p.Lists}
	f := func(i int, want string) {
		t.Helper()
		r := p.Requests[i]
		if got := r.Method + " " + string(r.Path.Append(nil, s)); got != want {
			t.Errorf("request %d is %s, want %s", i, got, want)
		}
	}
	f(0, "POST /v1/rooms/r2/enter")
	f(1, "POST /v1/redpackets/B/draw")
	f(2, "GET /x/u0042/41/9/7")
	if got := string(p.Requests[2].Headers.Append(nil, s)); got != "X-A: u0042\r\n" {
		t.Errorf("headers %q", got)
	}
	if d := p.Requests[1]; !d.Expected(200, []byte("won")) || !d.Expected(503, []byte("won")) || d.Expected(200, []byte("closed")) || d.Expected(404, []byte("won")) {
		t.Error("expectations are not followed")
	}
}

func TestGivenIdsSpareTheSetup(t *testing.T) {
	p, err := Load("preset:draw", map[string][]string{"rp": {"X"}})
	if err != nil || len(p.Funds) != 0 {
		t.Fatalf("%v, %+v", err, p)
	}
}

func TestPresetsCompile(t *testing.T) {
	room := map[string][]string{"room": {"r1"}}
	for name, vars := range map[string]map[string][]string{"draw": nil, "show": nil, "enter": room, "night": room} {
		if _, err := Load("preset:"+name, vars); err != nil {
			t.Error(err)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Parse([]byte(text), nil)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n gives %v, want %q", text, err, want)
		}
	}
	f("steps: []", "steps is empty")
	f("stepz: []", "[1:1]")
	f("steps: [{draw: {redpacket: \"${x}\"}}]", "${x}")
	f("steps: [{draw: {redpacket: \"${x\"}}]", "without its }")
	f("steps: [{draw: {}}]", "draw.redpacket is missing")
	f("steps: [{draw: {redpacket: a}, think: 1s}]", "exactly one")
	f("steps: [{think: 1s}]", "no request")
	f("steps: [{think: 2s..1s}]", "think")
	f("steps: [{repeat: {times: 0, steps: [{think: 1s}]}}]", "repeat")
	f("steps: [{request: {path: \"a b\"}}]", "begins with /")
	f("vars: {rp: [\"a b\"]}\nsteps: [{draw: {redpacket: \"${rp}\"}}]", "has a space")
	f("vars: {rp: [\"a\\r\\nb\"]}\nsteps: [{draw: {redpacket: \"${rp}\"}}]", "control character")
	f("steps: [{enter: {room: r, expect: {status: [20]}}}]", "status 20")
	f("users: {prefix: \"a b\"}\nsteps: [{enter: {room: r}}]", "prefix")
}

func TestUsersAreDistinctAndPadded(t *testing.T) {
	u := Users{Prefix: "u", Width: 3, Random: true}
	seen := map[uint64]bool{}
	for n := range uint64(100000) {
		seen[u.Number(n)] = true
	}
	if len(seen) != 100000 {
		t.Errorf("%d distinct of 100000", len(seen))
	}
	for n, want := range map[uint64]string{7: "u007", 70: "u070", 7000: "u7000"} {
		if got := string(u.AppendUID(nil, n)); got != want {
			t.Errorf("user %d is %s, want %s", n, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(night)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse([]byte(text), nil); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func TestDrawsFromRedPacketsOfOthersAreNamed(t *testing.T) {
	f := func(text string, foreign int, vars map[string][]string) {
		t.Helper()
		p, err := Parse([]byte(text), vars)
		if err != nil || len(p.Foreign) != foreign {
			t.Errorf("%v, %+v", err, p)
		}
	}
	draw := "steps: [{draw: {redpacket: \"${rp}\"}}]\n"
	f("setup: [{fund: {amount: 1, count: 1}}]\n"+draw, 0, nil)
	f("setup: [{fund: {amount: 1, count: 1}}]\n"+draw, 1, map[string][]string{"rp": {"real"}})
	f("vars: {rp: [real]}\n"+draw, 1, nil)
	f("steps: [{fund: {amount: 1, count: 1}}, {draw: {redpacket: \"${rp}\"}}, {request: {method: post, path: /v1/redpackets/real/draw}}]", 1, nil)
	p, err := Parse([]byte("steps: [{request: {method: post, path: /v1/redpackets, body: '{\"amount\":7,\"count\":1}', extract: {x: id}}}, {draw: {redpacket: \"${x}\"}}]"), nil)
	if err != nil || !p.Requests[0].Funds || p.Requests[0].Fen != 7 || len(p.Foreign) != 0 {
		t.Errorf("%v, %+v", err, p)
	}
}
