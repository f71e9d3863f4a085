package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/ledgertest"
	"sluice/gateway/ledger/postgres"
	"sluice/internal/servers"
)

// databases makes schemas on one server: starting one for each case would take
// most of the time.
func databases(t *testing.T) func(t *testing.T) string {
	// Nothing here cuts the power, so the disk need not be waited for.
	_, dsn := servers.StartPostgres(t, "fsync=off")
	var n atomic.Int64
	return func(t *testing.T) string {
		t.Helper()
		ctx := context.Background()
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		name := fmt.Sprintf("ledger%d", n.Add(1))
		if _, err := c.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("search_path", name)
		u.RawQuery = q.Encode()
		return u.String()
	}
}

func open(t *testing.T, dsn string, now func() time.Time) ledger.Store {
	t.Helper()
	l, err := postgres.Open(context.Background(), postgres.Options{URL: dsn, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedger(t *testing.T) {
	database := databases(t)
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store { return open(t, database(t), now) })
	for name, f := range map[string]func(*testing.T, string){
		"KilledInTheMiddleOfSettlingEverythingIsThereOnce": killed,
		"JournalRefusesChangesByHand":                      refuses,
		"ProcessesThatOpenAtOnceMigrateOnce":               migrateOnce,
		"NewerSchemaIsRefused":                             newer,
		"OlderSchemaIsBroughtUpToDate":                     older,
	} {
		t.Run(name, func(t *testing.T) { f(t, database(t)) })
	}
}

func TestMain(m *testing.M) {
	ledgertest.CrashMain(openPatiently)
	os.Exit(m.Run())
}

// openPatiently waits while the server recovers.
func openPatiently(dsn string) (l ledger.Store, err error) {
	for range 200 {
		if l, err = postgres.Open(context.Background(), postgres.Options{URL: dsn}); err == nil {
			return l, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

// Children are killed in the middle of settling, and so is a server process:
// PostgreSQL then ends all others and recovers.
func killed(t *testing.T, dsn string) {
	hurt := func() {
		ctx := context.Background()
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return // recovering
		}
		defer c.Close(ctx)
		var pid int
		if err := c.QueryRow(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1`).Scan(&pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	again := func() ledger.Store {
		l, err := openPatiently(dsn)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ledgertest.Crash(t, dsn, again, 6, hurt)
}

func refuses(t *testing.T, dsn string) {
	ctx := context.Background()
	l := open(t, dsn, nil)
	defer l.Close()
	if _, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "a", Sender: "s", Amount: 100, Count: 1, State: ledger.Funded}); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for q, want := range map[string]string{
		"UPDATE posting SET amount = amount + 1":    "append-only",
		"DELETE FROM award":                         "append-only",
		"TRUNCATE txn":                              "append-only",
		"INSERT INTO posting VALUES (999, 1, 5, 1)": "do not sum to zero",
		"UPDATE running SET awarded = funded + 1":   "check constraint",
		"INSERT INTO posting VALUES (999, 1, 0, 1)": "check constraint",
	} {
		if _, err := c.Exec(ctx, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", q, err, want)
		}
	}
}

func migrateOnce(t *testing.T, dsn string) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			l, err := postgres.Open(context.Background(), postgres.Options{URL: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			l.Close()
		})
	}
	wg.Wait()
}

func newer(t *testing.T, dsn string) {
	ctx := context.Background()
	open(t, dsn, nil).Close()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "INSERT INTO ledger_migration (version, name) VALUES (99, 'later')"); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(ctx, postgres.Options{URL: dsn}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Fatal(err)
	}
}

// A ledger that an older program made keeps its rows, and takes portals of coupons.
func older(t *testing.T, dsn string) {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	files, err := filepath.Glob("migrations/000[1-3]_*.sql")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	steps := []string{`CREATE TABLE ledger_migration (version bigint PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())`}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, string(text))
	}
	steps = append(steps, `INSERT INTO ledger_migration (version, name) VALUES (3, 'the last')`,
		`INSERT INTO redpacket OVERRIDING SYSTEM VALUE VALUES (7, 'old', 's', 1, 2, 'lucky', 'anyone', 'none', 100, 1, 50, 200, 0, 5, 1, '\x01', '\x02', '\x03', '\x04')`,
		`INSERT INTO running (k, state, payment) VALUES (7, 'unpaid', '')`)
	for _, q := range steps {
		if _, err := c.Exec(ctx, q); err != nil {
			t.Fatalf("%.80s: %v", q, err)
		}
	}
	l := open(t, dsn, nil)
	defer l.Close()
	ledgertest.UpToDate(t, l)
	if _, err := c.Exec(ctx, `INSERT INTO redpacket OVERRIDING SYSTEM VALUE SELECT 9, 'zero', sender, home, bucket, 'lucky', audience, lock, 0, count, min, max,
		opens_at, closes_at, created_at, seed, seed_hash, spec, body_hash FROM redpacket WHERE k = 7`); err == nil || !strings.Contains(err.Error(), "redpacket_amount_check") {
		t.Fatal(err)
	}
}
