package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/cachesync/record"
	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/source"
)

var opened = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func row(t *testing.T, format, text string) *source.Row {
	t.Helper()
	f := &source.Files{Patterns: []string{"-"}, Format: format, Stdin: strings.NewReader(text)}
	if err := f.Resolve(); err != nil {
		t.Fatal(err)
	}
	r, err := f.Open(t.Context(), source.Position{})
	if err != nil {
		t.Fatal(err)
	}
	row, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestRowsBecomeRecords(t *testing.T) {
	f := func(cfg plan.Config, r *source.Row, key, payload string, at time.Time) {
		t.Helper()
		cfg.OpenedAt = opened
		p, err := plan.Compile(cfg)
		if err != nil {
			t.Fatal(err)
		}
		item, _, err := p.Convert(r, nil)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		rec, err := record.Parse(item.Value)
		if err != nil || item.Key != key || string(rec.Payload) != payload || rec.Version != record.VersionAt(cfg.Epoch, at) || rec.Version != item.Version || rec.Type != record.TypeUser {
			t.Errorf("%s %s %v %v; want %s %s %v", item.Key, rec.Payload, rec.Version, err, key, payload, record.VersionAt(cfg.Epoch, at))
		}
	}
	csv := "uid,level,name,at\n7,12,\"a\"\"b\",2026-01-02 03:04:05\n"
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f(plan.Config{Key: "u:{uid}"}, row(t, "csv", csv), "u:7", `{"uid":"7","level":"12","name":"a\"b","at":"2026-01-02 03:04:05"}`, opened)
	f(plan.Config{Key: "u:x-{uid}_{level}", Fields: []string{"lv=level:number", "name"}, VersionColumn: "at", Epoch: 3}, row(t, "csv", csv), "u:x-7_12", `{"lv":12,"name":"a\"b"}`, at)
	js := `{"uid":7,"tags":["x"],"at":1767323045000,"gone":null}`
	f(plan.Config{Key: "u:{uid}", VersionColumn: "at"}, row(t, "jsonl", js), "u:7", js, at)
	f(plan.Config{Key: "u:{uid}", Fields: []string{"uid:string", "t=tags", "gone:number"}, Filter: `uid == 7 && len(tags) == 1`}, row(t, "jsonl", js), "u:7", `{"uid":"7","t":["x"],"gone":null}`, opened)
	f(plan.Config{Key: "u:{uid}", Transform: func(key string, b []byte) ([]byte, bool, error) { return []byte(key), true, nil }}, row(t, "jsonl", js), "u:7", "u:7", opened)
	f(plan.Config{Key: "u:{uid}", VersionColumn: "at"}, row(t, "jsonl", `{"uid":1,"at":"1999-01-01"}`), "u:1", `{"uid":1,"at":"1999-01-01"}`, time.UnixMilli(record.BaseMS))
}

func TestRowsThatCannotBecomeRecords(t *testing.T) {
	f := func(cfg plan.Config, text, want string) {
		t.Helper()
		cfg.OpenedAt = opened
		p, err := plan.Compile(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = p.Convert(row(t, "jsonl", text), nil)
		var bad *source.BadRow
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "-:1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	key := plan.Config{Key: "u:{uid}"}
	f(key, `{"x":1}`, "no column uid")
	f(key, `{"uid":""}`, "is empty")
	f(key, `{"uid":null}`, "is empty")
	f(key, `{"uid":"a b"}`, "space or control character")
	f(key, `{"uid":"a\nb"}`, "space or control character")
	f(key, `{"uid":"a/b"}`, "a uid is")
	f(key, `{"uid":"`+strings.Repeat("x", 300)+`"}`, "key of 302 bytes")
	f(key, `{"uid":1,"v":"`+strings.Repeat("x", 1<<20)+`"}`, "memcached takes")
	f(plan.Config{Key: "u:{uid}", VersionColumn: "at"}, `{"uid":1}`, "no at")
	f(plan.Config{Key: "u:{uid}", VersionColumn: "at"}, `{"uid":1,"at":"soon"}`, "is no time")
	f(plan.Config{Key: "u:{uid}", VersionColumn: "at"}, `{"uid":1,"at":"2036-01-01"}`, "in the future")
	f(plan.Config{Key: "u:{uid}", Fields: []string{"uid:number"}}, `{"uid":"x"}`, "is not a number")
	f(plan.Config{Key: "u:{uid}", Filter: "uid.x.y > 1"}, `{"uid":1}`, "filter")
}

func TestFilterAndTransformLeaveOut(t *testing.T) {
	p, _ := plan.Compile(plan.Config{Key: "u:{uid}", Filter: "uid > 1"})
	if _, _, err := p.Convert(row(t, "jsonl", `{"uid":1}`), nil); err != plan.ErrFiltered {
		t.Error(err)
	}
}

func TestPlansThatCannotWork(t *testing.T) {
	f := func(cfg plan.Config) {
		t.Helper()
		if _, err := plan.Compile(cfg); err == nil {
			t.Errorf("%+v compiled", cfg)
		}
	}
	f(plan.Config{})
	f(plan.Config{Key: "u:"})
	f(plan.Config{Key: "u:{uid"})
	f(plan.Config{Key: "u:{}"})
	f(plan.Config{Key: "u:{uid}", Filter: "uid >"})
	f(plan.Config{Key: "u:{uid}", Fields: []string{"a=b:date"}})
	f(plan.Config{Key: "u:{uid}", Epoch: 1 << 12})
}

func TestExpiryIsSpreadButNeverEarly(t *testing.T) {
	until := time.Date(2027, 2, 5, 21, 0, 0, 0, time.UTC)
	seen := map[int32]bool{}
	for i := range 1000 {
		e := plan.Expiry([]byte{byte(i), byte(i >> 8)}, until, time.Minute)
		if int64(e) < until.Unix() || int64(e) >= until.Unix()+60 {
			t.Fatalf("expiry %d", e)
		}
		seen[e] = true
	}
	if len(seen) < 55 {
		t.Errorf("%d different seconds of 60", len(seen))
	}
}
