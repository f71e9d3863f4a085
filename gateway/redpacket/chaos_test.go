package redpacket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cachesync/resp"
	"sluice/internal/servers"
)

// draws is how many draws the drills make; DRAWS=1000000 for the long one.
func draws() int {
	if n, err := strconv.Atoi(os.Getenv("DRAWS")); err == nil && n > 0 {
		return n
	}
	return 20_000
}

// run starts all roles and returns a function that ends them.
func (w *world) run(settle bool) func() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	role := func(f func(context.Context) error) {
		wg.Add(1)
		go func() { defer wg.Done(); f(ctx) }()
	}
	role(w.splitter.Run)
	role(w.certifier.Run)
	role(w.closer.Run)
	if settle {
		role(w.settler.Run)
	}
	return func() { cancel(); wg.Wait() }
}

func (w *world) pipelined(addr string) {
	c, err := resp.New(resp.Config{Addrs: []string{addr}, Timeout: 2 * time.Second})
	w.must(err)
	w.t.Cleanup(func() { c.Close() })
	w.house.backend = NewPipelined(c)
}

// told is what one client was told last.
type told struct {
	uid string
	out Outcome
}

func TestKilledRedisInTheMiddleOfDrawsLosesAndDoublesNothing(t *testing.T) {
	server := servers.Redis(t)
	w := newWorld(t, server.Addr, false)
	w.pipelined(server.Addr)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	total := draws()
	const packets, clients = 4, 64
	shares := total / packets * 9 / 10
	var ids []ID
	for range packets {
		ids = append(ids, w.fund(fmt.Sprintf(`{"amount":%d,"count":%d}`, shares*200, shares)))
	}
	stop := w.run(true)
	var next, done atomic.Int64
	results := make([][]told, packets)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				n := int(next.Add(1)) - 1
				if n >= total {
					return
				}
				p, uid := n%packets, uidOf(n/packets)
				out := w.insist(ids[p], uid)
				mu.Lock()
				results[p] = append(results[p], told{uid, out})
				mu.Unlock()
				done.Add(1)
			}
		}()
	}
	for _, at := range []int64{int64(total) / 4, int64(total) / 2} {
		for done.Load() < at {
			time.Sleep(time.Millisecond)
		}
		server.Kill()
		server.Start()
	}
	wg.Wait()
	stop()
	w.settle()
	for p, id := range ids {
		w.checkTold(id, results[p], int64(shares))
	}
}

// insist draws until there is an answer, as a client does.
func (w *world) insist(id ID, uid string) Outcome {
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid})
		cancel()
		if err == nil {
			return out
		}
		var later *LaterError
		if !errors.As(err, &later) && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("%s: %v", uid, err)
			return out
		}
		time.Sleep(20 * time.Millisecond)
		if try > 3000 {
			w.t.Errorf("%s: no answer in a minute: %v", uid, err)
			return out
		}
	}
}

// checkTold holds what clients were told against the ledger.
func (w *world) checkTold(id ID, list []told, shares int64) {
	w.t.Helper()
	ctx := context.Background()
	r := w.clean(id)
	if r.Unsettled != 0 || r.Quarantined != 0 || r.Awards != shares || r.Payable != r.Funded {
		w.t.Errorf("%v, awards %d of %d", r, r.Awards, shares)
	}
	byShare := map[int64]string{}
	for _, one := range list {
		award, err := w.ledger.Award(ctx, id.String(), one.uid, "1")
		switch one.out.Kind {
		case Won, Already:
			if err != nil || int64(award.Share) != one.out.Share || award.Amount != one.out.Amount {
				w.t.Errorf("%s was told %+v, the ledger has %+v, %v", one.uid, one.out, award, err)
			}
			if other, ok := byShare[one.out.Share]; ok {
				w.t.Errorf("share %d was told to %s and %s", one.out.Share, other, one.uid)
			}
			byShare[one.out.Share] = one.uid
		case SoldOut:
			if err == nil {
				w.t.Errorf("%s won share %d and was told soldout", one.uid, award.Share)
			}
		default:
			w.t.Errorf("%s was told %v", one.uid, one.out.Kind)
		}
	}
	if int64(len(byShare)) != shares {
		w.t.Errorf("%d shares told, %d there are", len(byShare), shares)
	}
}
