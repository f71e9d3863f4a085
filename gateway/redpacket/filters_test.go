package redpacket

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
)

func TestFilterKnowsEveryWinnerAndFewOthers(t *testing.T) {
	f := func(winners int) {
		t.Helper()
		hashes := make([]uint64, winners)
		for i := range hashes {
			hashes[i] = xxhash.Sum64String(fmt.Sprint("winner", i))
		}
		chunks := buildFilter(hashes)
		has := func(uid string) bool {
			h := xxhash.Sum64String(uid)
			return filterHas(chunks[h%uint64(len(chunks))], h)
		}
		for i := range winners {
			if !has(fmt.Sprint("winner", i)) {
				t.Fatalf("%d winners: number %d is not in the filter", winners, i)
			}
		}
		wrong := 0
		for i := range 10_000 {
			if has(fmt.Sprint("loser", i)) {
				wrong++
			}
		}
		if wrong > 200 {
			t.Errorf("%d winners: %d of 10000 losers must ask home", winners, wrong)
		}
	}
	f(0)
	f(1)
	f(20)
	f(10_000)
	f(450_000) // three chunks
	if !filterHas(nil, 1) || !filterHas([]byte{9, 7, 0, 0}, 1) {
		t.Error("a chunk that is not understood must send everybody home")
	}
}

func TestLosersAreAnsweredWithoutAskingHome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":2000,"count":10}`)
		for i := range 10 {
			w.draw(id, uidOf(i))
		}
		w.settle()
		seen, err := lookAt(w.desk, ctx, id, "loser")
		if err != nil || seen.NoWin {
			t.Fatalf("before the filter: %+v, %v", seen, err)
		}
		w.closer.filterAt = w.closer.filterAt.Add(-1e10)
		w.must(w.closer.Step(ctx))
		without := 0
		for i := range 100 {
			seen, err := lookAt(w.desk, ctx, id, fmt.Sprint("loser", i))
			w.must(err)
			if out, ok := seen.Decide(); ok {
				without++
				if out.Kind != SoldOut {
					t.Fatalf("%+v", out)
				}
			}
		}
		if without < 80 {
			t.Errorf("only %d of 100 losers were answered without I/O", without)
		}
		for i := range 10 { // no w: record, yet nobody hears soldout
			if out := w.draw(id, uidOf(i)); out.Kind != Already {
				t.Fatalf("%+v", out)
			}
		}
		_, err = w.desk.Close(ctx, id, "")
		w.must(err)
		if out := w.draw(id, "loser1"); out.Kind != Closed {
			t.Fatalf("%+v", out)
		}
	})
}

// onHKeys does something around the first HKEYS.
type onHKeys struct {
	before, after func()
	done          bool
}

func (h *onHKeys) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *onHKeys) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *onHKeys) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "hkeys" || h.done {
			return next(ctx, cmd)
		}
		h.done = true
		h.before()
		err := next(ctx, cmd)
		h.after()
		return err
	}
}

func TestAFilterReadFromAnEmptiedRedisIsNotPublished(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":2000,"count":10}`)
		for i := range 10 {
			w.draw(id, uidOf(i))
		}
		w.settle()
		w.rdb.AddHook(&onHKeys{
			before: func() {
				w.must(w.rdb.FlushAll(ctx).Err())
				w.must(w.rdb.ScriptFlush(ctx).Err())
			},
			after: func() { w.must(w.certifier.Step(ctx)) }, // all is back, in a new epoch
		})
		for range 3 {
			w.closer.filterAt = time.Time{}
			w.closer.Step(ctx)
			for i := range 10 {
				if out := w.draw(id, uidOf(i)); out.Kind != Already {
					t.Fatalf("a winner heard %+v", out)
				}
			}
		}
		if seen, err := lookAt(w.desk, ctx, id, "loser"); err != nil || seen.State.filter == 0 {
			t.Errorf("no filter came after it: %+v, %v", seen, err)
		}
	})
}
