package source_test

import (
	"strings"
	"testing"
	"time"

	"sluice/cachesync/warmup/source"
	"sluice/internal/servers"
)

func TestMySQLTableIsReadAndResumed(t *testing.T) {
	db, err := source.OpenDB(source.MySQL, servers.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		// The server's zone must not move the times that are read, nor those compared with.
		`SET GLOBAL time_zone = '+08:00'`,
		`CREATE TABLE users (uid bigint PRIMARY KEY, active datetime NOT NULL, name varchar(40) CHARACTER SET utf8mb4, score double, vip boolean, doc json, updated_at timestamp(3) NULL)`,
		`INSERT INTO users SELECT seq, '2026-01-01' + INTERVAL (seq % 10) DAY, concat('张', seq), seq / 2, seq % 2 = 0, '{"a":[1]}', '2026-02-01' + INTERVAL seq SECOND FROM seq_1_to_103`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	tab := &source.Table{DB: db, Dialect: source.MySQL, Table: "test.users", Key: "uid", Columns: []string{"name", "score", "vip", "doc"}, Since: "updated_at", PageSize: 10}
	resumes(t, "by key", tab)
	tab.Order = "active"
	resumes(t, "by activity", tab)
	rows, _, err := read(t, tab, source.Position{})
	if want := `uid=9 active=2026-01-10T00:00:00Z updated_at=2026-02-01T00:00:09Z name=张9 score=4.5 vip=0 doc={"a":[1]}`; err != nil || len(rows) != 103 || rows[0] != want {
		t.Errorf("%d rows, %v, first %q, want %q", len(rows), err, rows[:1], want)
	}
	tab.SinceAt = time.Date(2026, 2, 1, 0, 1, 40, 0, time.UTC)
	if rows, _, err = read(t, tab, source.Position{}); err != nil || len(rows) != 4 {
		t.Errorf("since: %d rows, %v", len(rows), err)
	}
	if s, err := tab.Size(t.Context()); err != nil || s.Rows != 4 {
		t.Errorf("%+v %v", s, err)
	}
	tab.Table = "gone"
	if _, _, err := read(t, tab, source.Position{}); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
	if _, err := source.OpenDB(source.MySQL, "no dsn"); err == nil {
		t.Error("a DSN that is none was taken")
	}
}
