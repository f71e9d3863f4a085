package redpacket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"sluice/gateway/redpacket/history"
	"sluice/internal/servers"
)

// Histories of concurrent draws on a real Redis, which is killed in between, are
// linearizable: there is one order of all draws that explains every answer.
func TestHistoriesOfConcurrentDrawsAreLinearizable(t *testing.T) {
	server := servers.Redis(t)
	w := newWorld(t, server.Addr, false)
	w.pipelined(server.Addr)
	w.must(w.certifier.Step(context.Background()))
	const count, clients, each = 12, 6, 12
	for round := range 4 {
		id := w.fund(fmt.Sprintf(`{"amount":%d,"count":%d}`, count*300, count))
		stop := w.run(true)
		var mu sync.Mutex
		var calls []porcupine.Operation
		var wg sync.WaitGroup
		start := time.Now()
		for c := range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				rng := rand.New(rand.NewPCG(uint64(round), uint64(c)))
				for range each {
					op := history.Draw{UID: fmt.Sprint("u", rng.IntN(count+6))}
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					call := time.Since(start).Nanoseconds()
					out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: op.UID})
					back := time.Since(start).Nanoseconds()
					cancel()
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						if isFenced(err) {
							continue // certainly nothing happened
						}
						back = 1 << 60 // it may take effect at any time
					}
					mu.Lock()
					calls = append(calls, porcupine.Operation{ClientId: c, Input: op, Call: call,
						Output: history.Answer{Outcome: out.Kind.String(), Share: out.Share, Lost: err != nil}, Return: back})
					mu.Unlock()
				}
			}()
		}
		if round%2 == 1 {
			time.Sleep(3 * time.Millisecond)
			server.Kill()
			server.Start()
		}
		wg.Wait()
		stop()
		res := porcupine.CheckOperationsTimeout(history.Model(count), calls, 20*time.Second)
		if res != porcupine.Ok {
			t.Fatalf("round %d: %d operations: %v", round, len(calls), res)
		}
		w.certified(id)
		w.settle()
		w.clean(id)
	}
}

// certified waits until the bucket of id is open again: one whose certification a kill
// broke off is left alone for a while.
func (w *world) certified(id ID) {
	w.t.Helper()
	ctx := context.Background()
	for range 600 {
		w.certifier.Step(ctx)
		if _, err := Reconcile(ctx, w.house, w.ledger, id); !isFenced(err) {
			w.must(err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("the bucket of %s was not certified in 30 s", id)
}
