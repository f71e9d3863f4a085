package warmup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/cachesync/warmup"
	"sluice/cachesync/warmup/source"
	"sluice/internal/servers"
)

func TestCommandsEndWithTheirCodeALineAndAnAlarm(t *testing.T) {
	addr, dir := servers.Memcached(t), t.TempDir()
	var mu sync.Mutex
	var alarms []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a warmup.Alarm
		json.NewDecoder(r.Body).Decode(&a)
		mu.Lock()
		defer mu.Unlock()
		alarms = append(alarms, a.Set+" "+a.Kind)
	}))
	defer hook.Close()
	f := func(line string, exit warmup.Exit, want string, alarm ...string) {
		t.Helper()
		var out bytes.Buffer
		stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		defer stderr.Close()
		cmd := warmup.Command(warmup.Deps{StateDir: filepath.Join(dir, "state"), Stdout: &out, Stderr: stderr, Getenv: func(string) string { return "" }})
		cmd.SetArgs(append(strings.Fields(line), "--memcached", addr, "--alarm-url", hook.URL))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err = cmd.ExecuteContext(t.Context())
		if err != nil {
			out.WriteString(err.Error())
		}
		var code interface{ ExitCode() int }
		if errors.As(err, &code) != (exit != 0) || code != nil && code.ExitCode() != int(exit) || !strings.Contains(out.String(), want) {
			t.Errorf("warm %s: %v\n%s\nwant %d and %q", line, err, out.String(), exit, want)
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(alarms, alarm) {
			t.Errorf("warm %s: alarms %q, want %q", line, alarms, alarm)
		}
		alarms = nil
	}
	rows := filepath.Join(dir, "rows.csv")
	os.WriteFile(rows, []byte("uid,level\n1,2\n3,4\n"), 0o644)
	metrics := filepath.Join(dir, "warm.prom")
	f(rows, 0, "warm users: done and proved; 2 rows")
	f(rows+" --reject-file "+filepath.Join(dir, "rejects"), 0, "2 rows")
	f(rows+" --json", 0, `"outcome":"done and proved"`)
	f(rows+" --quiet --filter level<1", warmup.ExitSource, "no usable row", "users source")
	f("none.csv --metrics-file "+metrics, warmup.ExitSource, "none.csv: no such file", "users source")
	if text, err := os.ReadFile(metrics); err != nil || !strings.Contains(string(text), `sluice_warm_exit{set="users"} 5`) {
		t.Errorf("metrics of a run that did not begin: %s %v", text, err)
	}
	f("none.csv --json --set x", warmup.ExitSource, `{"set":"x","source":"","exit":5,"outcome":"source failed","reason":"source: none.csv: no such file`, "x source")
	f("--set y", warmup.ExitUsage, "name one source", "y refused")
	f(rows+" --reject-file "+dir+"/none/rejects", warmup.ExitUsage, "--reject-file", "users refused")
	f("tonight", warmup.ExitUsage, "names the homes", "tonight refused")

	dsn := filepath.Join(dir, "users.db")
	db, err := source.OpenDB(source.SQLite, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(q string, args ...any) {
		if _, err := db.ExecContext(t.Context(), q, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE users(uid TEXT PRIMARY KEY, at TEXT)")
	exec("INSERT INTO users VALUES ('a', '2026-01-01 00:00:00'), ('b', '2026-01-01 00:00:00')")
	table := "--sql sqlite --dsn " + dsn + " --table users --version-column at --since-column at --set table"
	f(table+" --since last", warmup.ExitUsage, "no run of set table was ever done", "table refused")
	f(table, 0, "2 rows")
	f(table+" --since last", 0, "done and proved; 0 rows") // nothing changed, which is no fault
	exec("UPDATE users SET at = ? WHERE uid = 'b'", time.Now().UTC().Add(-30*time.Second).Format(time.DateTime))
	f(table+" --since last", 0, "done and proved; 1 rows") // committed late
	exec("DELETE FROM users")
	f(table, warmup.ExitSource, "is empty", "table source")
}
