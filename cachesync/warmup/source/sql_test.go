package source

import (
	"reflect"
	"testing"
	"time"
)

func TestPagesAreAskedForBehindTheLastRow(t *testing.T) {
	since := time.Date(2027, 2, 5, 20, 0, 0, 0, time.FixedZone("", 8*3600))
	f := func(tab Table, pos Position, want string, values ...any) {
		t.Helper()
		if err := tab.Check(); err != nil {
			t.Fatal(err)
		}
		got, args, err := tab.page(pos)
		if err != nil || got != want || !reflect.DeepEqual(args, values) && len(args)+len(values) > 0 {
			t.Errorf("%v\n got %s %v\nwant %s %v", err, got, args, want, values)
		}
	}
	tab := Table{Dialect: MySQL, Table: "app.users", Key: "uid", Columns: []string{"name"}, PageSize: 10}
	f(tab, Position{}, "SELECT `uid`, `name` FROM `app`.`users` ORDER BY `uid` ASC LIMIT 10")
	f(tab, Position{Keys: []string{"i7"}}, "SELECT `uid`, `name` FROM `app`.`users` WHERE `uid` > ? ORDER BY `uid` ASC LIMIT 10", int64(7))
	tab.Order, tab.Where, tab.Since, tab.SinceAt = "active", "level > 3 OR vip", "updated_at", since
	f(tab, Position{Keys: []string{"sab", "f2.5"}},
		"SELECT `uid`, `active`, `updated_at`, `name` FROM `app`.`users` WHERE (level > 3 OR vip) AND `updated_at` >= ? AND (`active` < ? OR (`active` = ? AND `uid` > ?)) ORDER BY `active` DESC, `uid` ASC LIMIT 10",
		since.UTC(), 2.5, 2.5, "ab")
	tab.Dialect = Postgres
	f(tab, Position{Keys: []string{"sab", "i2"}},
		`SELECT "uid", "active", "updated_at", "name" FROM "app"."users" WHERE (level > 3 OR vip) AND "updated_at" >= $1 AND ("active" < $2 OR ("active" = $3 AND "uid" > $4)) ORDER BY "active" DESC, "uid" ASC LIMIT 10`,
		since.UTC(), int64(2), int64(2), "ab")
	if _, _, err := tab.page(Position{Keys: []string{"zz"}}); err == nil {
		t.Error("a position of another query was taken")
	}
}

func TestTablesThatCannotBeRead(t *testing.T) {
	f := func(tab Table) {
		t.Helper()
		if err := tab.Check(); err == nil {
			t.Errorf("%+v accepted", tab)
		}
	}
	f(Table{Dialect: "oracle", Table: "t", Key: "k"})
	f(Table{Dialect: MySQL, Table: "t"})
	f(Table{Dialect: MySQL, Table: "t; DROP TABLE users", Key: "k"})
	f(Table{Dialect: MySQL, Table: "t", Key: "k", Order: "1 --"})
	f(Table{Dialect: MySQL, Table: "t", Key: "k", SinceAt: time.Unix(1, 0)})
}

func TestKeysOutliveTheProcess(t *testing.T) {
	values := []any{int64(-3), 1.5, "text", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	got, err := decodeKeys(encodeKeys(values))
	if err != nil || !reflect.DeepEqual(got, values) {
		t.Errorf("%v %v", got, err)
	}
}
