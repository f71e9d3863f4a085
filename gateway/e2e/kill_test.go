package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/servers"
)

// What a user heard.
type heard struct {
	outcome       string
	share, amount int64
}

// asked is what a user heard in the end, and since when he had asked.
type asked struct {
	heard
	began, ended time.Time
}

// userNames are u0, u1 and so on.
func userNames(n int) []string {
	users := make([]string, n)
	for u := range users {
		users[u] = fmt.Sprintf("u%d", u)
	}
	return users
}

// size is how much a drill draws.
type size struct {
	users, shares, clients int
	amount                 int64
	rounds                 int           // of all faults
	pause                  time.Duration // of a SIGSTOP
}

// TestNoFenIsLostThroughKills draws from one red packet over many clients, who
// repeat what got no answer, while gateway, settle, memcached and Redis are
// killed and stopped again and again. SLUICE_DRILL=1000000 is the drill of as many
// draws: `make drill`.
func TestNoFenIsLostThroughKills(t *testing.T) {
	n := size{users: 20_000, shares: 16_000, amount: 16_000_000, clients: 64, rounds: 2, pause: 300 * time.Millisecond}
	if text := os.Getenv("SLUICE_DRILL"); text != "" {
		draws, err := strconv.Atoi(text)
		if err != nil || draws < 10_000 {
			t.Fatalf("SLUICE_DRILL=%s: give the number of draws, at least 10000", text)
		}
		n = size{users: draws, shares: draws * 8 / 10, amount: int64(draws) * 800, clients: 256, rounds: 5, pause: 3 * time.Second}
	}
	h := startHouse(t)
	funder := newClient(h.addr, h.token("sender", "fund"))
	id := fund(t, funder, fmt.Sprintf(`{"amount":%d,"count":%d,"min":1,"max":200000}`, n.amount, n.shares))

	users := userNames(n.users)
	check(t, h, id, n.amount, n.shares, users, drill(t, h, id, n, users))
}

// drill draws for all users in their order, through all faults.
func drill(t *testing.T, h *house, id string, n size, users []string) []asked {
	t.Helper()
	results := make([]asked, len(users))
	var next, finished atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range n.clients {
		wg.Go(func() {
			c := newClient(h.addr, "")
			for {
				u := int(next.Add(1) - 1)
				if u >= len(users) {
					return
				}
				c.token = h.token(users[u], "")
				results[u] = drawUntilAnswered(c, id)
				finished.Add(1)
			}
		})
	}
	faults := harm(h, n, func() float64 { return float64(finished.Load()) / float64(len(users)) })
	wg.Wait()
	took := time.Since(start)
	t.Logf("%d draws in %v (%.0f/s) through %d faults", len(users), took.Round(time.Second), float64(len(users))/took.Seconds(), faults())
	return results
}

// drawUntilAnswered repeats a draw until there is an outcome, as a client does
// that lost a reply or was told "later".
func drawUntilAnswered(c *client, id string) asked {
	began := time.Now()
	answer := func(h heard) asked { return asked{h, began, time.Now()} }
	for range 3000 {
		a, err := c.try("POST", "/v1/redpackets/"+id+"/draw", "")
		if err == nil && a.Status == 200 {
			return answer(heard{a.str("outcome"), a.num("share"), a.num("amount")})
		}
		if err == nil && a.Status != 503 {
			return answer(heard{outcome: fmt.Sprintf("%d %s", a.Status, a.Body)})
		}
		time.Sleep(time.Duration(10+rand.IntN(40)) * time.Millisecond)
	}
	return answer(heard{outcome: "never answered"})
}

// harm kills one part after the other and stops each for a while, as often as
// the size says, spread over the run; the function it returns waits for the
// last fault and counts.
func harm(h *house, n size, progress func() float64) func() int {
	restart := func(p *process) func() {
		return func() { p.kill(); time.Sleep(50 * time.Millisecond); p.start() }
	}
	stop := func(signal func(os.Signal)) func() {
		return func() { signal(syscall.SIGSTOP); time.Sleep(n.pause); signal(syscall.SIGCONT) }
	}
	server := func(p *servers.Process) func(os.Signal) {
		return func(s os.Signal) {
			if s == syscall.SIGSTOP {
				p.Pause()
			} else {
				p.Resume()
			}
		}
	}
	faults := []func(){
		restart(h.gateway), stop(h.settle.signal), restart(h.settle), stop(server(h.memcached.Process)),
		func() { h.memcached.Kill(); h.memcached.Start() }, stop(h.gateway.signal), stop(server(h.redis.Process)),
		func() { h.redis.Kill(); time.Sleep(50 * time.Millisecond); h.redis.Start() },
	}
	count := make(chan int, 1)
	go func() {
		all := len(faults) * n.rounds
		for i := range all {
			for want := 0.9 * float64(i+1) / float64(all+1); progress() < want; {
				time.Sleep(time.Millisecond)
			}
			faults[i%len(faults)]()
		}
		count <- all
	}()
	return func() int { return <-count }
}

// check proves what the users heard against the ledger.
func check(t *testing.T, h *house, id string, amount int64, shares int, users []string, results []asked) {
	t.Helper()
	takenBy := map[int64]string{}
	var sum int64
	var soldOut, lastWon asked // the first who heard that, and the last who began to win
	winners := 0
	for u, r := range results {
		switch r.outcome {
		case "won", "already":
			if other, taken := takenBy[r.share]; taken {
				t.Errorf("share %d won by %s and %s", r.share, other, users[u])
			}
			takenBy[r.share] = users[u]
			sum += r.amount
			winners++
			if r.began.After(lastWon.began) {
				lastWon = r
			}
		case "soldout":
			if soldOut.outcome == "" || r.ended.Before(soldOut.ended) {
				soldOut = r
			}
		default:
			t.Errorf("%s heard %q", users[u], r.outcome)
		}
	}
	if soldOut.outcome != "" && lastWon.began.After(soldOut.ended) {
		t.Errorf("share %d was won by a draw that began %v after somebody had heard soldout", lastWon.share, lastWon.began.Sub(soldOut.ended))
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
	checkLedger(t, h, id, users, results)
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
func checkLedger(t *testing.T, h *house, id string, users []string, results []asked) {
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
		w, ok := won[users[u]]
		switch {
		case r.outcome == "soldout" && ok:
			t.Errorf("%s won share %d and heard soldout", users[u], w.share)
		case r.outcome != "soldout" && (!ok || w.share != r.share || w.amount != r.amount):
			t.Errorf("%s heard %+v, recorded is %+v", users[u], r.heard, w)
		}
	}
}
