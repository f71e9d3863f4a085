package route

import (
	"strings"
	"testing"
)

const text = `routes:
  - name: fund
    method: POST
    path: /v1/redpackets
    content: fund.lua
  - name: show
    method: GET
    path: /v1/redpackets/{id}
    content: show.lua
  - name: draw
    method: POST
    path: /v1/redpackets/{id}/draw
    access: [auth.lua]
    content: draw.lua
    enabled: false
    budget: {wall_time: 500ms}
  - name: top
    method: GET
    path: /v1/redpackets/top
    content: show.lua
`

func all(string) bool { return true }

func TestFind(t *testing.T) {
	table, err := Parse(text, all)
	if err != nil {
		t.Fatal(err)
	}
	f := func(method, path, name string, verdict Verdict, params ...string) {
		t.Helper()
		var v Values
		r, got := table.Find(method, path, &v)
		if got != verdict || (got == Found && r.Name != name) {
			t.Errorf("%s %s: %v, %v", method, path, r, got)
			return
		}
		for i, p := range params {
			if v[i] != p {
				t.Errorf("%s %s: parameter %d is %q", method, path, i, v[i])
			}
		}
	}
	f("POST", "/v1/redpackets", "fund", Found)
	f("GET", "/v1/redpackets/ab12", "show", Found, "ab12")
	f("HEAD", "/v1/redpackets/ab12", "show", Found, "ab12")
	f("GET", "/v1/redpackets/top", "top", Found)
	f("POST", "/v1/redpackets/ab12/draw", "draw", Found, "ab12")
	f("GET", "/v1/redpackets/ab12/draw", "", NotAllowed)
	f("GET", "/v1/redpackets/ab12/", "", NotFound)
	f("GET", "/v1", "", NotFound)
	f("GET", "/", "", NotFound)
	f("GET", "", "", NotFound)
	f("GET", "*", "", NotFound)
	f("GET", "/v1/redpackets/a%20b", "", BadParam)
	f("GET", "/v1/redpackets/a{b}", "", BadParam)
	f("GET", "/v1/redpackets/"+strings.Repeat("x", 10<<10), "", BadParam)
	f("GET", "/v1/redpackets/", "", BadParam)
	f("GET", "/v1/redpackets/a/b/c/d/e/f", "", NotFound)
	if table.Routes[2].On() || !table.Routes[0].On() {
		t.Error("kill switch")
	}
	show, _ := table.Find("PUT", "/v1/redpackets/x", &Values{})
	if got := table.Allow(show); got != "GET" {
		t.Errorf("allow: %q", got)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	f := func(text, want string, exists func(string) bool) {
		t.Helper()
		_, err := Parse(text, exists)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(strings.Replace(text, "name: show", "nam: show", 1), `routes.yaml:6: unknown field "nam"`, all)
	f(strings.Replace(text, "method: GET", "method: FETCH", 1), `routes.yaml:6: route "show": method "FETCH"`, all)
	f(text, `routes.yaml:10: route "draw": script "auth.lua" is not among the scripts`, func(s string) bool { return s != "auth.lua" })
	f(strings.Replace(text, "name: draw", "name: show", 1), "used twice", all)
	f(strings.Replace(text, "/v1/redpackets/top", "/v1/redpackets/{x}", 1), `is also route "show"`, all)
	f(strings.Replace(text, "/top", "/t op", 1), "neither plain", all)
	f("routes: [", "routes.yaml", all)
}

func TestFindDoesNotAllocate(t *testing.T) {
	table, err := Parse(text, all)
	if err != nil {
		t.Fatal(err)
	}
	var v Values
	if n := testing.AllocsPerRun(100, func() { table.Find("POST", "/v1/redpackets/ab12/draw", &v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFind(f *testing.F) {
	table, err := Parse(text, all)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		var v Values
		if r, verdict := table.Find(method, path, &v); verdict == Found {
			for i := range r.Params {
				if !validParam(v[i]) {
					t.Fatalf("parameter %q got through", v[i])
				}
			}
		}
	})
}

func TestWhatStandsBesideRoutes(t *testing.T) {
	table, err := Parse("shared: {limits: 1048576}\ninit: [init.lua]\ninit_worker: [worker.lua]\n"+
		strings.Replace(text, "{wall_time: 500ms}", "{calls: 5, subrequests: 3, timers: 2}", 1), all)
	if err != nil {
		t.Fatal(err)
	}
	if table.Shared["limits"] != 1<<20 || table.Init[0] != "init.lua" || table.InitWorker[0] != "worker.lua" {
		t.Errorf("%+v", table.Globals)
	}
	if b := table.Routes[2].Budget; b.Calls != 5 || b.Subrequests != 3 || b.Timers != 2 {
		t.Errorf("budget %+v", b)
	}
	f := func(text, want string) {
		t.Helper()
		if _, err := Parse(text, func(s string) bool { return s != "gone.lua" }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("shared: {a: 100}\n", "shared: a: 100 bytes")
	f("shared: {a: 1000000000, b: 1000000000}\n", "in all")
	f("init: [gone.lua]\n", `script "gone.lua" is not among the scripts`)
	f(strings.Replace(text, "{wall_time: 500ms}", "{calls: -5}", 1), "budget is below zero")
}
