package redpacket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"sluice/internal/servers"
)

// drawOp and drawn are one call of a history and its answer.
type drawOp struct{ uid string }
type drawn struct {
	kind  OutcomeKind
	share int64
	lost  bool // the reply was lost: it may have happened or not
}

// drawState is what is known of a red packet: who has which share, and how many are taken.
type drawState struct {
	taken int64
	count int64
	won   map[string]int64
}

func (s drawState) with(uid string) drawState {
	next := drawState{taken: s.taken + 1, count: s.count, won: map[string]int64{}}
	for k, v := range s.won {
		next.won[k] = v
	}
	next.won[uid] = s.taken
	return next
}

// drawModel is the specification: the next share to whoever has none, the same again to
// whoever has one, soldout when all are taken.
func drawModel(count int64) porcupine.Model {
	step := func(s drawState, op drawOp, out drawn) []any {
		share, has := s.won[op.uid]
		var next []any
		if out.lost { // whatever it would have done, or nothing yet
			next = append(next, s)
			if !has && s.taken < s.count {
				next = append(next, s.with(op.uid))
			}
			return next
		}
		switch out.kind {
		case Won:
			if !has && s.taken < s.count && out.share == s.taken {
				next = append(next, s.with(op.uid))
			}
		case Already:
			if has && out.share == share {
				next = append(next, s)
			}
		case SoldOut:
			if !has && s.taken == s.count {
				next = append(next, s)
			}
		}
		return next
	}
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{drawState{count: count, won: map[string]int64{}}} },
		Step: func(state, in, out any) []any { return step(state.(drawState), in.(drawOp), out.(drawn)) },
		Equal: func(a, b any) bool {
			x, y := a.(drawState), b.(drawState)
			if x.taken != y.taken || len(x.won) != len(y.won) {
				return false
			}
			for k, v := range x.won {
				if w, ok := y.won[k]; !ok || w != v {
					return false
				}
			}
			return true
		},
	}
	return m.ToModel()
}

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
		var history []porcupine.Operation
		var wg sync.WaitGroup
		start := time.Now()
		for c := range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				rng := rand.New(rand.NewPCG(uint64(round), uint64(c)))
				for range each {
					op := drawOp{fmt.Sprint("u", rng.IntN(count+6))}
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					call := time.Since(start).Nanoseconds()
					out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: op.uid})
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
					history = append(history, porcupine.Operation{ClientId: c, Input: op, Call: call,
						Output: drawn{out.Kind, out.Share, err != nil}, Return: back})
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
		res := porcupine.CheckOperationsTimeout(drawModel(count), history, 20*time.Second)
		if res != porcupine.Ok {
			t.Fatalf("round %d: %d operations: %v", round, len(history), res)
		}
		w.certifier.Step(context.Background())
		w.settle()
		w.clean(id)
	}
}
