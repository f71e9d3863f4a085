package source_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"sluice/cachesync/warmup/source"
	"sluice/internal/servers"
)

func TestPostgresTableIsReadAndResumed(t *testing.T) {
	db, err := sql.Open("pgx", servers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TABLE users (uid bigint PRIMARY KEY, active timestamptz NOT NULL, score double precision, vip boolean, doc jsonb, updated_at timestamptz);
		INSERT INTO users SELECT i, '2026-01-01'::timestamptz + (i % 10) * interval '1 day', i / 2.0, i % 2 = 0, '{"a":[1]}', '2026-02-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 103) i`); err != nil {
		t.Fatal(err)
	}
	tab := &source.Table{DB: db, Dialect: source.Postgres, Table: "public.users", Key: "uid", Columns: []string{"score", "vip", "doc"}, Since: "updated_at", PageSize: 10}
	resumes(t, "by key", tab)
	tab.Order = "active"
	resumes(t, "by activity", tab)
	rows, _, err := read(t, tab, source.Position{})
	if err != nil || len(rows) != 103 || !strings.HasPrefix(rows[0], "uid=9 active=2026-01-10T00:00:00Z updated_at=2026-02-01T00:00:09Z score=4.5 vip=false doc={") {
		t.Errorf("%d rows, %v, first %q", len(rows), err, rows[:1])
	}
	tab.SinceAt = time.Date(2026, 2, 1, 0, 1, 40, 0, time.UTC)
	if rows, _, err = read(t, tab, source.Position{}); err != nil || len(rows) != 4 {
		t.Errorf("since: %d rows, %v", len(rows), err)
	}
	if s, err := tab.Size(t.Context()); err != nil || s.Rows != 4 {
		t.Errorf("%+v %v", s, err)
	}
	all := &source.Table{DB: db, Dialect: source.Postgres, Table: "users", Key: "uid"}
	if rows, _, err = read(t, all, source.Position{}); err != nil || !strings.Contains(rows[0], "vip=") || !strings.Contains(rows[0], "doc=") {
		t.Errorf("all columns: %v %q", err, rows[:1])
	}
	tab.Table = "gone"
	if _, _, err := read(t, tab, source.Position{}); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
}
