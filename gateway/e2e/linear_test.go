package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"sluice/gateway/redpacket/history"
)

// Histories of concurrent draws from real processes, over HTTP, are
// linearizable, also while the gateway, settle and Redis are killed: there is
// one order of all draws that explains every answer.
func TestHistoriesOfRealProcessesAreLinearizable(t *testing.T) {
	h := startHouse(t)
	funder := newClient(h.addr, h.token("sender", "fund"))
	const count, clients, each = 12, 6, 12
	kills := []func(){
		func() {},
		func() { h.gateway.kill(); h.gateway.start() },
		func() { h.redis.Kill(); h.redis.Start() },
		func() { h.settle.kill(); h.settle.start(); h.memcached.Kill(); h.memcached.Start() },
	}
	for round, kill := range kills {
		id := fund(t, funder, fmt.Sprintf(`{"amount":%d,"count":%d}`, count*300, count))
		var mu sync.Mutex
		var calls []porcupine.Operation
		var wg sync.WaitGroup
		start := time.Now()
		for c := range clients {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(c)))
				conn := newClient(h.addr, "")
				for range each {
					op := history.Draw{UID: fmt.Sprint("u", rng.IntN(count+6))}
					conn.token = h.token(op.UID, "")
					call := time.Since(start).Nanoseconds()
					a, err := conn.try("POST", "/v1/redpackets/"+id+"/draw", "")
					back := time.Since(start).Nanoseconds()
					answer := history.Answer{Outcome: a.str("outcome"), Share: a.num("share")}
					if err != nil || a.Status == 503 { // it may have happened, or may still happen
						answer, back = history.Answer{Lost: true}, 1<<60
						untilReady(h.gateAdmin) // few lost answers keep the search small
					} else if a.Status != 200 {
						t.Errorf("%d %s", a.Status, a.Body)
					}
					mu.Lock()
					calls = append(calls, porcupine.Operation{ClientId: c, Input: op, Call: call, Output: answer, Return: back})
					mu.Unlock()
				}
			})
		}
		time.Sleep(3 * time.Millisecond)
		kill()
		wg.Wait()
		if res := porcupine.CheckOperationsTimeout(history.Model(count), calls, 30*time.Second); res != porcupine.Ok {
			t.Fatalf("round %d: %d operations: %v", round, len(calls), res)
		}
		awaitReady(t, h.settle, h.settleAddr)
		awaitReady(t, h.gateway, h.gateAdmin)
	}
}

// untilReady waits, not for ever, until the admin listener says ready.
func untilReady(admin string) {
	for range 3000 {
		time.Sleep(10 * time.Millisecond)
		if a, err := newClient(admin, "").try("GET", "/readyz", ""); err == nil && a.Status == 200 {
			return
		}
	}
}
