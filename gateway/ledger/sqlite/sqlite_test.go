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

// A ledger that an older program made keeps its rows and its triggers, and takes portals of coupons.
func TestAnOlderLedgerIsBroughtUpToDate(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(q string) error {
		_, err := db.ExecContext(ctx, q)
		return err
	}
	files, err := filepath.Glob("migrations/000[1-3]_*.sql")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err == nil {
			err = exec(string(text))
		}
		if err != nil {
			t.Fatal(name, err)
		}
	}
	for _, q := range []string{"PRAGMA user_version = 3",
		`INSERT INTO redpacket VALUES (7, 'old', 's', 1, 2, 'lucky', 'anyone', 'none', 100, 1, 50, 200, 0, 5, 1, x'01', x'02', x'03', x'04')`,
		`INSERT INTO running (k, state, payment) VALUES (7, 'unpaid', '')`} {
		if err := exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	l := open(t, path, nil)
	defer l.Close()
	ledgertest.UpToDate(t, l)
	for q, want := range map[string]string{"UPDATE redpacket SET amount = 1": "append-only", "DELETE FROM redpacket": "append-only",
		`INSERT INTO redpacket SELECT 9, 'zero', sender, home, bucket, 'lucky', audience, lock, 0, count, min, max, opens_at, closes_at, created_at, seed, seed_hash, spec, body_hash FROM redpacket WHERE k = 7`: "CHECK"} {
		if err := exec(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", q, err, want)
		}
	}
}
