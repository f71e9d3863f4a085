package redpacket

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/internal/servers"
)

// loaded waits until a Redis that was started has read its files.
func (w *world) loaded() {
	w.t.Helper()
	for range 500 {
		if w.rdb.Exists(context.Background(), "x").Err() == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatal("Redis does not come up")
}

func drawErr(w *world, id ID, uid string) error {
	_, err := w.desk.Draw(context.Background(), DrawRequest{ID: id, UID: uid})
	return err
}

func TestRestartedRedisDrawsOnlyAfterCertification(t *testing.T) {
	server := servers.Redis(t)
	w := newWorld(t, server.Addr, false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	first := w.draw(id, "a")
	server.Kill()
	if err := drawErr(w, id, "b"); err == nil {
		t.Fatal("a dead Redis gave a share")
	}
	server.Start()
	w.loaded()
	if err := drawErr(w, id, "b"); !errors.Is(err, ErrFenced) {
		t.Fatalf("a restarted Redis answered %v", err)
	}
	w.must(w.certifier.Step(ctx))
	// The win of "a" was not settled before the kill: the certifier posted it.
	if _, err := w.ledger.Award(ctx, id.String(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if out := w.draw(id, "a"); out.Kind != Already || out.Amount != first.Amount {
		t.Fatalf("%+v", out)
	}
	if out := w.draw(id, "b"); out.Kind != Won || out.Share != 1 {
		t.Fatalf("%+v", out)
	}
	w.settle()
	w.clean(id)
}

func TestEmptiedRedisIsBuiltAgainAndQuarantinesWhatIsUnknown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		w.draw(id, "a")
		w.draw(id, "b")
		w.settle()
		w.draw(id, "c") // acknowledged, and then forgotten
		w.must(w.rdb.FlushAll(ctx).Err())
		w.must(w.rdb.ScriptFlush(ctx).Err())
		if err := drawErr(w, id, "d"); !errors.Is(err, ErrFenced) {
			t.Fatalf("an emptied Redis answered %v", err)
		}
		w.must(w.certifier.Step(ctx))
		if out := w.draw(id, "b"); out.Kind != Already || out.Share != 1 {
			t.Fatalf("%+v", out)
		}
		for _, uid := range []string{"c", "d"} { // c may have won: nobody hears soldout
			if err := drawErr(w, id, uid); !errors.Is(err, ErrFrozen) {
				t.Fatalf("%s: %v", uid, err)
			}
		}
		r := w.clean(id)
		if r.Quarantined == 0 || r.Left != 0 || r.Awards != 2 {
			t.Fatalf("%v", r)
		}
		held, err := w.ledger.Quarantined(ctx, id.String())
		if err != nil || len(held) != 18 {
			t.Fatalf("%d held, %v", len(held), err)
		}
		if _, err := w.desk.Close(ctx, id, ""); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if r := w.clean(id); r.Refunding != 0 || r.Quarantined == 0 {
			t.Fatalf("quarantined shares went back: %v", r)
		}
	})
}

// A certifier raises the epoch and dies, then Redis is emptied and certified: what was raised is put
// back, and must not pass for what was certified.
func TestRaisedRedisThatIsPutBackIsNotTakenForTheCertifiedOne(t *testing.T) {
	w := newWorld(t, servers.Redis(t).Addr, false) // miniredis cannot DUMP
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	w.draw(id, "a")
	w.settle()
	at, err := w.ledger.Positions(ctx, 1)
	w.must(err)
	epoch, err := w.certifier.next(ctx, at)
	w.must(err)
	w.must(w.certifier.shut(ctx, id.Bucket(), epoch, at[id.Bucket()]))
	keys, err := w.rdb.Keys(ctx, "*").Result()
	w.must(err)
	raised := map[string]string{}
	for _, key := range keys {
		raised[key] = w.rdb.Dump(ctx, key).Val()
	}
	w.must(w.rdb.FlushAll(ctx).Err())
	w.must(w.rdb.ScriptFlush(ctx).Err())
	w.must(w.certifier.Step(ctx))
	if err := drawErr(w, id, "b"); !errors.Is(err, ErrFrozen) {
		t.Fatalf("after the loss: %v", err)
	}
	w.must(w.rdb.FlushAll(ctx).Err())
	for key, dump := range raised {
		w.must(w.rdb.Restore(ctx, key, 0, dump).Err())
	}
	w.must(w.certifier.Step(ctx))
	if err := drawErr(w, id, "b"); !errors.Is(err, ErrFrozen) {
		t.Fatalf("a quarantined share was given: %v", err)
	}
	w.settle()
	w.clean(id)
}

func TestEmbeddedHouseIsRebuiltFromTheLedgerWithoutQuarantine(t *testing.T) {
	m := miniredis.RunT(t)
	w := newWorld(t, m.Addr(), true)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	closed := w.fund(`{"amount":2000,"count":4}`)
	locked := w.fund(`{"amount":1000,"count":4,"password":"open","audience":"list","list":["x","y"]}`)
	w.draw(id, "a")
	w.draw(closed, "a")
	_, err := w.desk.Close(ctx, closed, "")
	w.must(err)
	w.settle()
	m.FlushAll()
	w.rdb.ScriptFlush(ctx)
	w.must(w.certifier.Step(ctx))
	if out := w.draw(id, "a"); out.Kind != Already || out.Share != 0 {
		t.Fatalf("%+v", out)
	}
	if out := w.draw(id, "b"); out.Kind != Won || out.Share != 1 {
		t.Fatalf("%+v", out)
	}
	if out := w.draw(closed, "b"); out.Kind != Closed {
		t.Fatalf("%+v", out)
	}
	if out := w.draw(closed, "a"); out.Kind != Already {
		t.Fatalf("%+v", out)
	}
	out, err := w.desk.Draw(ctx, DrawRequest{ID: locked, UID: "x", Password: "open"})
	if err != nil || out.Kind != Won {
		t.Fatalf("%+v, %v", out, err)
	}
	w.settle()
	w.clean(id)
	w.clean(closed)
	w.clean(locked)
}

// An older append-only file put back: the ledger knows more wins than Redis.
func TestRestoredOlderRedisGivesNoShareTwice(t *testing.T) {
	server := servers.Redis(t)
	w := newWorld(t, server.Addr, false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id, other := w.fund(twenty), w.fund(twenty)
	w.draw(id, "a")
	w.settle()
	old := copyDir(t, filepath.Join(server.Dir, "appendonlydir"))
	won := w.draw(id, "b")
	w.settle()
	server.Kill()
	writeDir(t, filepath.Join(server.Dir, "appendonlydir"), old)
	server.Start()
	w.loaded()
	w.must(w.certifier.Step(ctx))
	if out := w.draw(id, "b"); out.Kind != Already || out.Share != won.Share {
		t.Fatalf("%+v", out)
	}
	if err := drawErr(w, id, "c"); !errors.Is(err, ErrFrozen) {
		t.Fatal(err)
	}
	if id.Bucket() != other.Bucket() { // its bucket had lost nothing
		if out := w.draw(other, "c"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
	}
	w.settle()
	w.clean(id)
	w.clean(other)
}

func TestCertifierThatDiesHalfwayIsFollowedByAnother(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		w.draw(id, "a")
		w.settle()
		w.must(w.rdb.FlushAll(ctx).Err())
		w.must(w.rdb.ScriptFlush(ctx).Err())
		for fail := 1; fail < 400; fail += 3 {
			// The n-th command of the certifier fails, as if it had been killed there.
			next, err := NewCertifier(w.certifier.CertifierConfig)
			w.must(err)
			w.certifier = next
			hook := new(failAfter)
			hook.left.Store(int64(fail))
			w.rdb.AddHook(hook)
			err = w.certifier.Step(ctx)
			done := hook.left.Load() > 0
			hook.left.Store(1 << 40)
			w.rdb.Del(ctx, "sluice:certifier:1")
			if done {
				w.must(err)
				break
			}
		}
		if out := w.draw(id, "a"); out.Kind != Already {
			t.Fatalf("%+v", out)
		}
		if err := drawErr(w, id, "b"); !errors.Is(err, ErrFrozen) {
			t.Fatal(err)
		}
		w.clean(id)
	})
}

type failAfter struct{ left atomic.Int64 } // the lease is renewed beside the work

var errKilled = errors.New("killed")

func (f *failAfter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (f *failAfter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if f.left.Add(-1) <= 0 {
			cmd.SetErr(errKilled)
			return errKilled
		}
		return next(ctx, cmd)
	}
}
func (f *failAfter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if f.left.Add(-1) <= 0 {
			for _, c := range cmds {
				c.SetErr(errKilled)
			}
			return errKilled
		}
		return next(ctx, cmds)
	}
}

func copyDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if out[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func writeDir(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
