package redpacket

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/sqlite"
	"sluice/internal/servers"
)

// onLedger puts a world onto another ledger.
func (w *world) onLedger(addr string, store ledger.Store) {
	w.t.Helper()
	w.t.Cleanup(func() { store.Close() })
	w.ledger = store
	w.build(func() redis.UniversalClient {
		c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, Protocol: 2, ContextTimeoutEnabled: true})
		w.t.Cleanup(func() { c.Close() })
		return c
	}, false)
}

// A ledger that is put back to an older state does not know wins that its win streams no longer
// have. It posts nothing over that gap: the bucket is frozen, and who certifies it finds the
// shares in quarantine, and their winners in Redis.
func TestALedgerPutBackFreezesWhatItForgot(t *testing.T) {
	server := servers.Redis(t)
	w := newWorld(t, server.Addr, false)
	ctx := context.Background()
	dir := t.TempDir()
	open := func(path string) ledger.Store {
		store, err := sqlite.Open(ctx, sqlite.Options{Path: path})
		w.must(err)
		return store
	}
	now, backup := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	w.onLedger(server.Addr, open(now))
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	w.draw(id, "a")
	w.settle()
	db, err := sql.Open("sqlite", now)
	w.must(err)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", backup)
	w.must(err)
	w.must(db.Close())
	lost := w.draw(id, "b") // settled, paid perhaps, and not in the backup
	w.draw(id, "b2")
	w.settle()
	w.settler.trimAt = time.Time{}
	w.settle()

	w.onLedger(server.Addr, open(backup))
	w.draw(id, "c")
	for range 4 {
		w.settle()
	}
	known, err := w.ledger.Positions(ctx, 1)
	if err != nil || known[id.Bucket()].Frozen == nil {
		t.Fatalf("%+v, %v", known[id.Bucket()], err)
	}
	w.must(w.certifier.Step(ctx)) // fences it
	if err := drawErr(w, id, "d"); !errors.Is(err, ErrFenced) {
		t.Fatalf("a frozen bucket answered %v", err)
	}
	for _, uid := range []string{"b", "c"} { // nothing was posted over the gap
		if _, err := w.ledger.Award(ctx, id.String(), uid, "1"); err == nil {
			t.Errorf("%s has an award", uid)
		}
	}
	w.must(w.rdb.XTrimMaxLen(ctx, w.house.keys[id.Bucket()].win, 0).Err())
	_, err = w.certifier.Restored(ctx, []int{id.Bucket()}, "the ledger was put back")
	w.must(err)
	if err := drawErr(w, id, "d"); !errors.Is(err, ErrFrozen) {
		t.Fatalf("after certification: %v", err)
	}
	if held, err := w.ledger.Quarantined(ctx, id.String()); err != nil || len(held) != 19 { // all but a's
		t.Fatalf("%d are held, %v", len(held), err)
	}
	w.clean(id)
	if out := w.draw(id, "b"); out.Kind != Already || out.Share != lost.Share || out.Amount != lost.Amount {
		t.Fatalf("%+v, before %+v", out, lost)
	}
	w.release(id, int(lost.Share), "b")
	w.must(Unhold(ctx, w.house, w.ledger, id))
	if r := w.clean(id); r.Awards != 2 || r.Quarantined != 10000-r.Payable {
		t.Fatalf("%v", r)
	}
}
