package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite"

	"sluice/cachesync/warmup/source"
)

// read returns all rows as "name=text ..." and all complaints.
func read(t *testing.T, s source.Source, pos source.Position) (rows, bad []string, err error) {
	t.Helper()
	r, err := s.Open(t.Context(), pos)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		var b *source.BadRow
		switch {
		case errors.As(err, &b):
			bad = append(bad, filepath.Base(b.Error()))
		case err == io.EOF:
			return rows, bad, nil
		case err != nil:
			return rows, bad, err
		default:
			rows = append(rows, show(row))
		}
	}
}

func show(row *source.Row) string {
	var s []string
	for _, f := range row.Fields {
		s = append(s, f.Name+"="+string(f.AppendText(nil)))
	}
	return strings.Join(s, " ")
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var b bytes.Buffer
	switch filepath.Ext(name) {
	case ".gz":
		w := gzip.NewWriter(&b)
		io.WriteString(w, text)
		w.Close()
	case ".zst":
		w, _ := zstd.NewWriter(&b)
		io.WriteString(w, text)
		w.Close()
	default:
		b.WriteString(text)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func files(t *testing.T, patterns ...string) *source.Files {
	t.Helper()
	f := &source.Files{Patterns: patterns}
	if err := f.Resolve(); err != nil {
		t.Fatal(err)
	}
	return f
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\n got %q\nwant %q", what, got, want)
	}
}

func TestFilesOfEveryKindAreRead(t *testing.T) {
	want := []string{"uid=1 name=a, \"b\"\nc", "uid=2 name=文"}
	csvText := "\ufeffuid,name\r\n1,\"a, \"\"b\"\"\nc\"\r\n\r\n2,文\r\n"
	jsonText := `{"uid":1,"name":"a, \"b\"\nc"}` + "\n\n" + `{"uid":"2","name":"文"}`
	for name, text := range map[string]string{
		"u.csv": csvText, "u.csv.gz": csvText, "u.csv.zst": csvText,
		"u.jsonl": jsonText, "u.json.gz": jsonText, "u.ndjson.zst": jsonText,
		"u.tsv": strings.ReplaceAll(strings.ReplaceAll(csvText, "uid,", "uid\t"), "1,", "1\t")[:0] + "uid\tname\n1\t\"a, \"\"b\"\"\nc\"\n2\t文",
	} {
		rows, bad, err := read(t, files(t, file(t, name, text)), source.Position{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		equal(t, name, rows, want)
		equal(t, name+" bad", bad, nil)
	}
	in := &source.Files{Patterns: []string{"-"}, Format: "csv", Stdin: strings.NewReader(csvText)}
	if err := in.Resolve(); err != nil {
		t.Fatal(err)
	}
	rows, _, _ := read(t, in, source.Position{})
	equal(t, "stdin", rows, want)
}

func TestBadRowsAreNamedAndReadingGoesOn(t *testing.T) {
	text := "uid,name\n1,a\n2\n3,c,d\n4,\xff\n5,x\"y\n\"6\"x,\"z\"\n7," + strings.Repeat("z", 3<<20) + "\n8,ok\n9,\"open"
	rows, bad, err := read(t, files(t, file(t, "u.csv", text)), source.Position{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "rows", rows, []string{"uid=1 name=a", "uid=8 name=ok"})
	for i, want := range []string{
		"u.csv:3: missing columns: 1 of 2, no name", "u.csv:4: too many columns: 3 instead of 2", "u.csv:5: not valid UTF-8",
		"u.csv:6: a quote inside a field that is not quoted", "u.csv:7: text behind a closing quote", "u.csv:8: row longer than 2097152 bytes",
		"u.csv:10: a quoted field is not closed before the file ends, in line 10",
	} {
		if i >= len(bad) || !strings.HasPrefix(bad[i], want) {
			t.Errorf("complaint %d of %q is not %q", i, bad, want)
		}
	}
	rows, bad, _ = read(t, files(t, file(t, "u.csv", "uid,name\n1,\"a\n"+strings.Repeat("2,bbbbbbbbbb\n", 200_000)+"3,c\n")), source.Position{})
	if len(bad) != 1 || !strings.HasPrefix(bad[0], "u.csv:2: row longer than 2097152 bytes, up to line 161322: is a quoted field not closed?") || len(rows) != 200_003-161_322 {
		t.Errorf("complaints: %q and %d rows", bad, len(rows))
	}
	text = `{"uid":1}` + "\n{\"uid\":\n[1]\n{\"uid\":\"\xfe\"}\n{\"uid\":2}"
	rows, bad, _ = read(t, files(t, file(t, "u.jsonl", text)), source.Position{})
	equal(t, "rows", rows, []string{"uid=1", "uid=2"})
	if len(bad) != 3 || !strings.HasPrefix(bad[0], "u.jsonl:2: not valid JSON") || bad[1] != "u.jsonl:3: not a JSON object" || !strings.HasPrefix(bad[2], "u.jsonl:4: not valid UTF-8") {
		t.Errorf("complaints: %q", bad)
	}
}

func TestSourcesThatCannotBeRead(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		_, _, err := read(t, files(t, path), source.Position{})
		var fatal *source.Error
		if !errors.As(err, &fatal) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%v, want a source error with %q", err, want)
		}
	}
	f(file(t, "empty.csv", ""), "empty file")
	f(file(t, "twice.csv", "a,a\n"), "stands twice")
	cut := file(t, "cut.jsonl.gz", strings.Repeat("{\"uid\":1}\n", 100_000))
	b, _ := os.ReadFile(cut)
	os.WriteFile(cut, b[:len(b)-200], 0o644)
	f(cut, "ends early")
	for _, p := range []string{"none*.csv", filepath.Dir(cut) + "/cut.what"} {
		if err := (&source.Files{Patterns: []string{p}}).Resolve(); err == nil {
			t.Errorf("%s resolved", p)
		}
	}
}

// Reading a part, then the rest behind its position, is the same as reading all.
func resumes(t *testing.T, name string, s source.Source) {
	t.Helper()
	all, _, err := read(t, s, source.Position{})
	if err != nil || len(all) < 5 {
		t.Fatalf("%s: %d rows, %v", name, len(all), err)
	}
	for _, n := range []int{1, 2, len(all) / 2, len(all) - 1, len(all)} {
		r, err := s.Open(t.Context(), source.Position{})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		pos := r.Position()
		r.Close()
		rest, _, err := read(t, s, pos)
		if err != nil {
			t.Fatalf("%s from %+v: %v", name, pos, err)
		}
		if !slices.Equal(rest, all[n:]) {
			t.Errorf("%s behind row %d: %d rows, want %d", name, n, len(rest), len(all)-n)
		}
	}
}

func TestEverySourceResumes(t *testing.T) {
	var text strings.Builder
	text.WriteString("uid,active\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "%d,\"%d\"\n", i, i*7919%1000)
	}
	for _, ext := range []string{"", ".gz", ".zst"} {
		resumes(t, "csv"+ext, files(t, file(t, "a.csv"+ext, text.String()), file(t, "b.csv"+ext, text.String())))
	}
	resumes(t, "bands", &source.Bands{Source: files(t, file(t, "a.csv", text.String())), Column: "active"})
	resumes(t, "synthetic", &source.Synthetic{N: 100})
	resumes(t, "table", table(t, ""))
	resumes(t, "table by activity", table(t, "active"))
	srv := pages(t, nil)
	resumes(t, "pages", &source.Pages{URL: srv.URL + "/users?token=x", Rate: 1e6})
}

func TestMostActiveComeFirst(t *testing.T) {
	var text strings.Builder
	text.WriteString("uid,active\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "%d,%d\n", i, i*7919%1000)
	}
	rows, _, err := read(t, &source.Bands{Source: files(t, file(t, "a.csv", text.String())), Column: "active", N: 4}, source.Position{})
	if err != nil || len(rows) != 1000 {
		t.Fatal(len(rows), err)
	}
	slices.Sort(rows[:0:0])
	for i, row := range rows {
		var uid, active int
		fmt.Sscanf(row, "uid=%d active=%d", &uid, &active)
		if want := 3 - i/250; active/250 != want {
			t.Fatalf("row %d has activity %d, want band %d", i, active, want)
		}
	}
}

func table(t *testing.T, order string) *source.Table {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "u.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE TABLE users (uid TEXT PRIMARY KEY, active INTEGER, name TEXT, updated_at TEXT)`); err != nil {
		t.Fatal(err)
	}
	for i := range 57 {
		if _, err := db.Exec(`INSERT INTO users VALUES (?, ?, ?, ?)`, fmt.Sprintf("u%02d", i), i%5, "n", time.Unix(1_700_000_000+int64(i), 0).UTC().Format("2006-01-02 15:04:05")); err != nil {
			t.Fatal(err)
		}
	}
	return &source.Table{DB: db, Dialect: source.SQLite, Table: "users", Key: "uid", Order: order, Columns: []string{"name", "updated_at"}, Since: "updated_at", PageSize: 7}
}

func TestTableComesInOrderAndSince(t *testing.T) {
	tab := table(t, "active")
	rows, _, err := read(t, tab, source.Position{})
	if err != nil || len(rows) != 57 {
		t.Fatal(len(rows), err)
	}
	if !strings.HasPrefix(rows[0], "uid=u04 active=4 updated_at=") || !strings.HasPrefix(rows[56], "uid=u55 active=0") {
		t.Errorf("first %q last %q", rows[0], rows[56])
	}
	tab.SinceAt = time.Unix(1_700_000_050, 0)
	if rows, _, err = read(t, tab, source.Position{}); err != nil || len(rows) != 7 {
		t.Errorf("since: %d rows, %v", len(rows), err)
	}
	tab.SinceAt = time.Time{}
	tab.DB.Exec(`UPDATE users SET active = NULL WHERE uid = 'u10'`)
	if _, _, err = read(t, tab, source.Position{}); err == nil || !strings.Contains(err.Error(), "1 rows have no active") {
		t.Errorf("NULL in the order: %v", err)
	}
}

func pages(t *testing.T, fail func(n int) int) *httptest.Server {
	t.Helper()
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		if fail != nil {
			if code := fail(n); code != 0 {
				http.Error(w, "no", code)
				return
			}
		}
		at := 0
		fmt.Sscan(r.FormValue("cursor"), &at)
		next := fmt.Sprintf(`"%d"`, at+1)
		if at == 9 {
			next = "null"
		}
		fmt.Fprintf(w, `{"items":[{"uid":"%d-0"},{"uid":"%d-1"},{"uid":"%d-2"}],"next":%s}`, at, at, at, next)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestPagesAreTriedAgainButNotForEver(t *testing.T) {
	srv := pages(t, func(n int) int {
		if n%2 == 1 {
			return 503
		}
		return 0
	})
	p := &source.Pages{URL: srv.URL, Rate: 1e6, Backoff: time.Millisecond}
	rows, _, err := read(t, p, source.Position{})
	if err != nil || len(rows) != 30 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	gone := pages(t, func(n int) int { return 404 })
	if _, _, err := read(t, &source.Pages{URL: gone.URL, Rate: 1e6}, source.Position{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
	down := pages(t, func(n int) int { return 500 })
	if _, _, err := read(t, &source.Pages{URL: down.URL, Rate: 1e6, Backoff: time.Millisecond, Tries: 3}, source.Position{}); err == nil {
		t.Error("a service that is down was read")
	}
}

func FuzzCSVAsTheStandardReadsIt(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("a,b\n\"x\"\"y\",\"1\n2\"\n")
	f.Add("a,b\n\"\",\n,\"\"\n")
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "\r") || strings.Contains(body, "\x00") {
			t.Skip()
		}
		text := "a,b\n" + body
		std := csv.NewReader(strings.NewReader(text))
		want, err := std.ReadAll()
		if err != nil {
			t.Skip()
		}
		src := &source.Files{Patterns: []string{"-"}, Format: "csv", Stdin: strings.NewReader(text)}
		src.Resolve()
		r, err := src.Open(context.Background(), source.Position{})
		if err != nil {
			t.Skip()
		}
		for _, rec := range want[1:] {
			row, err := r.Next()
			if err != nil {
				var bad *source.BadRow
				if errors.As(err, &bad) && strings.Contains(bad.Reason, "UTF-8") {
					continue
				}
				t.Fatalf("%q: %v, want %q", text, err, rec)
			}
			if len(row.Fields) != 2 || string(row.Fields[0].Text) != rec[0] || string(row.Fields[1].Text) != rec[1] {
				t.Fatalf("%q: %s, want %q", text, show(row), rec)
			}
		}
	})
}

func FuzzJSONLinesNeverPanic(f *testing.F) {
	f.Add(`{"a":1,"b":[{"c":"}"}],"d":"\"","e":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		src := &source.Files{Patterns: []string{"-"}, Format: "jsonl", Stdin: strings.NewReader(text)}
		src.Resolve()
		r, err := src.Open(context.Background(), source.Position{})
		if err != nil {
			return
		}
		for {
			row, err := r.Next()
			if err == io.EOF {
				return
			}
			if err == nil {
				for _, fl := range row.Fields {
					fl.AppendText(nil)
				}
			}
		}
	})
}
