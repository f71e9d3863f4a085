package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/ledgertest"
	"sluice/gateway/ledger/sqlite"
)

func open(t *testing.T, path string, now func() time.Time) ledger.Store {
	t.Helper()
	l, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		return open(t, filepath.Join(t.TempDir(), "ledger.db"), now)
	})
}

func TestMain(m *testing.M) {
	ledgertest.CrashMain(func(path string) (ledger.Store, error) {
		return sqlite.Open(context.Background(), sqlite.Options{Path: path})
	})
	os.Exit(m.Run())
}

func TestKilledInTheMiddleOfSettlingEverythingIsThereOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	ledgertest.Crash(t, path, func() ledger.Store { return open(t, path, nil) }, 8, nil)
}

func TestWhatWasCommittedIsThereAfterOpeningAgain(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "sub", "ledger.db")
	l := open(t, path, nil)
	if _, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "a", Sender: "s", Amount: 100, Count: 1, State: ledger.Funded}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path, nil)
	defer l.Close()
	if r, err := l.RedPacket(ctx, "a"); err != nil || r.State != ledger.Funded {
		t.Fatal(r, err)
	}
}

func TestJournalRefusesChangesByHand(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path, nil)
	defer l.Close()
	if _, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "a", Sender: "s", Amount: 100, Count: 1, State: ledger.Funded}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{"UPDATE posting SET amount = amount + 1", "DELETE FROM posting", "UPDATE redpacket SET amount = 1", "DELETE FROM txn"} {
		if _, err := db.Exec(q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", q, err)
		}
	}
	// More out than in is refused by the table itself.
	if _, err := db.Exec("UPDATE running SET awarded = funded + 1"); err == nil {
		t.Error("running totals may exceed what was funded")
	}
}

func TestProcessesThatOpenAtOnceMigrateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := open(t, path, nil).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := sqlite.Open(context.Background(), sqlite.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Fatal(err)
	}
}

// One failing call must not take down those that share its commit.
func TestFailingCallDoesNotHarmItsGroup(t *testing.T) {
	ctx := context.Background()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"), nil)
	defer l.Close()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			r := ledger.RedPacket{ID: fmt.Sprint("rp", i/2), Sender: "s", Amount: 100, Count: 1, State: ledger.Funded, BodyHash: []byte{byte(i % 2)}}
			_, _, err := l.PutRedPacket(ctx, r) // of two with other bodies, one is a conflict
			if err != nil && !errors.Is(err, ledger.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	if err := l.EachRedPacket(ctx, ledger.Filter{}, func(ledger.RedPacket) error { n++; return nil }); err != nil || n != 100 {
		t.Fatal(n, err)
	}
	if rep, err := l.Audit(ctx); err != nil || len(rep.Problems) > 0 || rep.Postings != 200 {
		t.Fatal(rep, err)
	}
}
