package redpacket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/cachesync/resp"
	"sluice/gateway/redpacket/script"
)

// doorman holds the first call of the draw script until it is told to go on, and counts them.
type doorman struct {
	Backend
	draw    string // SHA
	held    chan struct{}
	goOn    chan error
	holding sync.Once

	mu    sync.Mutex
	calls int
}

func (d *doorman) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error) {
	if sha == d.draw {
		d.mu.Lock()
		d.calls++
		d.mu.Unlock()
		var err error
		d.holding.Do(func() {
			close(d.held)
			err = <-d.goOn
		})
		if err != nil {
			return dst, err
		}
	}
	return d.Backend.EvalSHA(ctx, sha, keys, args, dst)
}

// meeting is draws of one red packet, of which the first is under way and the others gather.
type meeting struct {
	*world
	*doorman
	id   ID
	wg   sync.WaitGroup
	mu   sync.Mutex
	outs map[string][]Outcome
	errs []error
}

func meet(w *world, body string) *meeting {
	set, err := w.house.set(context.Background(), 0)
	w.must(err)
	m := &meeting{world: w, id: w.fund(body), outs: map[string][]Outcome{}}
	m.doorman = &doorman{Backend: w.house.backend, draw: set.SHA(script.Draw), held: make(chan struct{}), goOn: make(chan error)}
	if w.house.backend = m.doorman; m.doorman.Backend == nil {
		m.doorman.Backend = GoRedis{w.rdb}
	}
	return m
}

func (m *meeting) comes(uid string) {
	m.wg.Go(func() {
		out, err := m.desk.Draw(context.Background(), DrawRequest{ID: m.id, UID: uid})
		m.mu.Lock()
		defer m.mu.Unlock()
		if err != nil {
			m.errs = append(m.errs, err)
			return
		}
		m.outs[uid] = append(m.outs[uid], out)
	})
}

// crowd lets one come, whose call is held, and then n others.
func (m *meeting) crowd(n int) {
	m.comes("first")
	<-m.held
	for i := range n {
		m.comes(uidOf(i))
	}
}

// gathered waits until so many draws wait for the call that is under way.
func (m *meeting) gathered(n int) {
	m.t.Helper()
	t, now := &m.desk.batches, 0
	for range 5000 {
		t.mu.Lock()
		now = 0
		for _, g := range t.gather {
			if g.waiting != nil {
				now += len(g.waiting.members)
			}
		}
		t.mu.Unlock()
		if now == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	m.t.Fatalf("%d draws wait, want %d", now, n)
}

func TestDrawsThatMeetAreOneCall(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m := meet(w, `{"amount":20000,"count":30}`)
		m.crowd(40)
		m.comes(uidOf(7)) // twice in one batch
		m.gathered(41)
		m.goOn <- nil
		m.wg.Wait()
		if m.calls != 2 || len(m.errs) > 0 {
			t.Errorf("42 draws took %d calls, errors %v; want 2", m.calls, m.errs)
		}
		won, lost, shares := 0, 0, map[int64]string{}
		for uid, outs := range m.outs {
			for _, out := range outs {
				switch out.Kind {
				case Won:
					if other := shares[out.Share]; other != "" {
						t.Errorf("share %d is %s's and %s's", out.Share, other, uid)
					}
					shares[out.Share] = uid
					won++
				case SoldOut:
					lost++
				case Already:
					if uid != uidOf(7) {
						t.Errorf("%s hears %v, and came once", uid, out)
					}
				}
			}
		}
		twice := m.outs[uidOf(7)]
		if won != 30 || lost < 10 || len(twice) != 2 || twice[0].Share != twice[1].Share || twice[0].Amount != twice[1].Amount {
			t.Errorf("%d won, %d came too late, who came twice heard %+v", won, lost, twice)
		}
		w.settle()
		w.clean(m.id)
	})
}

func TestAFullBatchWaitsForNobody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m := meet(w, `{"amount":20000,"count":100}`)
		m.crowd(mostTogether)
		for range 5000 { // they are answered while the first call is held
			if m.mu.Lock(); len(m.outs) == mostTogether {
				m.mu.Unlock()
				break
			}
			m.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		m.goOn <- nil
		m.wg.Wait()
		if m.calls != 2 || len(m.errs) > 0 || len(m.outs) != mostTogether+1 {
			t.Errorf("%d calls, %d answers, errors %v", m.calls, len(m.outs), m.errs)
		}
		w.settle()
		w.clean(m.id)
		if n := len(m.desk.batches.gather); n != 0 {
			t.Errorf("%d red packets are remembered when all is answered", n)
		}
	})
}

// A home that stands still must not keep those who wait behind a call waiting for as long again.
func TestWhoWaitsBehindATimeoutIsTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m := meet(w, `{"amount":20000,"count":30}`)
		m.crowd(10)
		m.gathered(10)
		m.goOn <- Later(time.Second, fmt.Errorf("standing still: %w", resp.ErrTimeout))
		m.wg.Wait()
		if m.calls != 1 || len(m.errs) != 11 {
			t.Fatalf("%d calls, %d of 11 errors", m.calls, len(m.errs))
		}
		var late *LaterError
		for _, err := range m.errs {
			if !errors.As(err, &late) {
				t.Errorf("%v says not to come back", err)
			}
		}
		for i := range 10 {
			if out := w.draw(m.id, uidOf(i)); out.Kind != Won {
				t.Errorf("who came again: %+v", out)
			}
		}
		w.settle()
		w.clean(m.id)
	})
}

// What the script cannot believe stops all draws of the batch, and writes none of them.
func TestABrokenShareLeavesNothingHalfDone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":300,"count":3,"mode":"equal"}`)
		k := &w.house.keys[id.Bucket()]
		sh := k.sh(id.String())
		whole := w.rdb.Get(ctx, sh).Val()
		w.must(w.rdb.Set(ctx, sh, whole[:len(whole)-1]+"x", 0).Err())
		state := func() string {
			return fmt.Sprint(w.rdb.HGetAll(ctx, k.meta).Val(), w.rdb.HGetAll(ctx, k.rp(id.String())).Val(), w.rdb.XLen(ctx, k.win).Val(), w.rdb.XLen(ctx, k.log).Val())
		}
		before := state()
		_, errs := w.desk.DrawAll(ctx, id, []string{"a", "b", "c"})
		for _, err := range errs {
			if !errors.Is(err, ErrFrozen) {
				t.Errorf("%v", err)
			}
		}
		if after := state(); after != before {
			t.Errorf("before:\n%s\nafter a batch that failed:\n%s", before, after)
		}
	})
}
