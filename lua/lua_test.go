package lua

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// load makes a runtime with one bundle.
func load(t testing.TB, cfg Config, files map[string]string, entry ...Script) (*Runtime, *Bundle) {
	t.Helper()
	if cfg.MinVMs == 0 {
		cfg.MinVMs = 1
	}
	rt := NewRuntime(cfg)
	b, err := rt.Load(files, entry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close() })
	return rt, b
}

// do runs one request through a content script and gives the context.
func do(t testing.TB, b *Bundle, h Handler, method, uri, body string, headers ...string) *fasthttp.RequestCtx {
	t.Helper()
	if h.Route == "" {
		h.Route = "test"
	}
	bd, err := b.Handler(h)
	if err != nil {
		t.Fatal(err)
	}
	return serve(bd, nil, method, uri, body, headers...)
}

func serve(bd *Bound, ps Params, method, uri, body string, headers ...string) *fasthttp.RequestCtx {
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(uri)
	req.Header.SetHost("localhost")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	req.SetBodyString(body)
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	bd.Serve(ctx, ps)
	return ctx
}

// run serves GET uri by one script.
func run(t testing.TB, src, uri string) *fasthttp.RequestCtx {
	t.Helper()
	_, b := load(t, Config{}, map[string]string{"t.lua": src})
	return do(t, b, Handler{Content: "t.lua"}, "GET", uri, "")
}

func TestAContentScriptAnswers(t *testing.T) {
	f := func(src, uri, want string) {
		t.Helper()
		ctx := run(t, src, uri)
		if got := string(ctx.Response.Body()); got != want || ctx.Response.StatusCode() != 200 {
			t.Errorf("%s: %d %q, want %q", src, ctx.Response.StatusCode(), got, want)
		}
	}
	f(`ngx.say("hello")`, "/", "hello\n")
	f(`ngx.say(1, 2.5, true, nil, ngx.null, {"a", {1, "b"}})`, "/", "12.5truenilnulla1b\n")
	f(`ngx.print(ngx.var.arg_x, " ", ngx.var.uri)`, "/a/b?x=1", "1 /a/b")
	f(`ngx.ctx.a = 3 ngx.print(ngx.ctx.a)`, "/", "3")
	f(`foo = 1 ngx.print(foo)`, "/", "1")
	f(`local co = ngx.thread.spawn(function() ngx.say("a") ngx.sleep(0.001) ngx.say("c") return 7 end)
	   ngx.say("b") local ok, v = ngx.thread.wait(co) ngx.say(ok, v)`, "/", "a\nb\nc\ntrue7\n")
}

func TestAnErrorIsA500ThatTellsNothing(t *testing.T) {
	ctx := run(t, `error("secret")`, "/")
	if ctx.Response.StatusCode() != 500 || strings.Contains(string(ctx.Response.Body()), "secret") {
		t.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}

func BenchmarkHello(b *testing.B) {
	_, bu := load(b, Config{}, map[string]string{"t.lua": `
local id = ngx.var.id
ngx.header["Content-Type"] = "application/json"
ngx.status = 200
ngx.say('{"id":"', id, '"}')`})
	bd, err := bu.Handler(Handler{Route: "hello", Content: "t.lua"})
	if err != nil {
		b.Fatal(err)
	}
	var req fasthttp.Request
	req.SetRequestURI("/hello")
	req.Header.SetHost("localhost")
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	ps := Params{{Name: "id", Value: "abc"}}
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		bd.Serve(ctx, ps)
	}
}

func TestCheckFindsWhatIsWrongWithAScript(t *testing.T) {
	rt := NewRuntime(Config{})
	f := func(src, want string) {
		t.Helper()
		var got []string
		for _, x := range rt.Check(map[string]string{"a.lua": src, "lib/m.lua": "return {}"}) {
			got = append(got, x.String())
		}
		if s := strings.Join(got, "\n"); s != want {
			t.Errorf("%q:\n got %q\nwant %q", src, s, want)
		}
	}
	f(`local m = require "m" ngx.say(m.x) for i, v in ipairs({a = 1}) do ngx.say(i, v) end`, "")
	f("local x =\n= 1", "a.lua:2: error: unexpected symbol near '='")
	f("ngx.sayy(1)", "a.lua:1: warning: 'ngx.sayy' does not exist here")
	f("ngx.req.foo()", "a.lua:1: warning: 'ngx.req.foo' does not exist here")
	f("ngx.shared.limits:get('a')", "a.lua:1: warning: 'ngx.shared.limits' does not exist here")
	f("\nprnt(1)", "a.lua:2: warning: global 'prnt' is defined nowhere")
	f("local prnt = {}\nfunction prnt.x() return prnt end\ndo local q = 1 end\nreturn q", "a.lua:4: warning: global 'q' is defined nowhere")
	f("for i = 1, 3 do\n  last = i\nend\nngx.say(last)", "a.lua:2: warning: writes the global 'last', which ends with the request; was 'local' meant?")
	f("ngx.status = 201 ngx.ctx.a = 1 ngx.header.b = 2 ngx.say(ngx.var.c, ngx.ERR, #arg)", "")
	f("local function f()\n  while true do\n    local x = 1\n  end\nend\nreturn f", "a.lua:3: warning: this loop cannot end: nothing leaves it")
	f("repeat local x = 1 until false", "a.lua:1: warning: this loop cannot end: nothing leaves it")
	f("local n = 0 while true do n = n + 1 if n > 5 then break end end repeat n = n - 1 until n == 0", "")
	f("while true do if ngx.var.x then error('x') end end", "")
	f("while true do for i = 1, 3 do if i == 2 then return end end end", "")
	f("\n\nlocal q = require('nothing')\n", "a.lua:3: error: module 'nothing' not found")
}

func TestRunOnceTellsWhatARunDid(t *testing.T) {
	res, err := RunOnce(Config{}, map[string]string{"a.lua": `ngx.log(ngx.WARN, "hm") ngx.status = 201 ngx.req.read_body() ngx.print(ngx.req.get_body_data())`},
		"a.lua", OneRequest{Method: "post", Body: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != 201 || string(res.Body) != "hello" || res.Used.Instructions == 0 {
		t.Errorf("%+v", res)
	}
	if len(res.Log) != 1 || res.Log[0] != "[warn] [lua] a.lua:1: hm" {
		t.Errorf("log %q", res.Log)
	}
}

func TestRunOnceTellsOfAnErrorBehindTheFirstOutput(t *testing.T) {
	res, err := RunOnce(Config{}, map[string]string{"a.lua": "ngx.say('x')\nerror('boom')"}, "a.lua", OneRequest{})
	if err != nil || res.Status != 500 || string(res.Body) != "x\n" || res.Failure != "a.lua:2: boom" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestABudgetEndsItsRequestOnly(t *testing.T) {
	var breaches []Breach
	_, b := load(t, Config{OnBreach: func(x Breach) { breaches = append(breaches, x) }, Logger: slog.New(slog.DiscardHandler)}, map[string]string{
		"loop.lua":  "\nwhile true do end",
		"pcall.lua": "while true do pcall(function() while true do end end) end",
		"mem.lua":   `local t = {} while true do t[#t+1] = string.rep("x", 1000) .. #t end`,
		"rep.lua":   `local s = string.rep("x", 1e9) ngx.say(#s)`,
		"out.lua":   `while true do ngx.print(string.rep("x", 10000)) end`,
		"sleep.lua": `ngx.sleep(10)`,
		"timer.lua": `for i = 1, 10 do ngx.timer.at(100, function() end) end`,
		"co.lua":    `while true do coroutine.wrap(function() for i = 1, 100 do end end)() end`,
		"ok.lua":    `ngx.say("fine")`,
	})
	f := func(script, kind, where string) {
		t.Helper()
		breaches = nil
		budget := &Budget{Instructions: 1e6, Memory: 4 << 20, Output: 1 << 20, Timers: 3, Wall: -1}
		if kind == "wall time" {
			budget.Wall = 50 * time.Millisecond
		}
		ctx := do(t, b, Handler{Route: script, Content: script, Budget: budget}, "GET", "/", "")
		if len(breaches) != 1 || breaches[0].Kind != kind || breaches[0].Route != script {
			t.Errorf("%s: %+v, want %s", script, breaches, kind)
		} else if !strings.Contains(breaches[0].Where, where) {
			t.Errorf("%s: where %q", script, breaches[0].Where)
		}
		if kind != "output" && ctx.Response.StatusCode() != 500 {
			t.Errorf("%s: status %d", script, ctx.Response.StatusCode())
		}
		if ok := do(t, b, Handler{Content: "ok.lua"}, "GET", "/", ""); string(ok.Response.Body()) != "fine\n" {
			t.Errorf("after %s: %s", script, ok.Response.Body())
		}
	}
	f("loop.lua", "instructions", "loop.lua:2")
	f("pcall.lua", "instructions", "pcall.lua:1")
	f("mem.lua", "memory", "mem.lua:1")
	f("rep.lua", "memory", "rep.lua:1")
	f("out.lua", "output", "out.lua:1")
	f("sleep.lua", "wall time", "sleep.lua:1")
	f("timer.lua", "timers", "timer.lua:1")
	f("co.lua", "instructions", "co.lua:1")
}

func TestGlobalsAreGoneWithTheirRequest(t *testing.T) {
	var buf bytes.Buffer
	_, b := load(t, Config{MaxRequests: 1, Logger: slog.New(slog.NewTextHandler(&buf, nil))}, map[string]string{
		"w.lua": "leak = 1\nngx.print(leak)", "r.lua": `ngx.print(tostring(leak))`})
	for range 3 {
		do(t, b, Handler{Content: "w.lua"}, "GET", "/", "")
	}
	if got := do(t, b, Handler{Content: "r.lua"}, "GET", "/", ""); string(got.Response.Body()) != "nil" {
		t.Errorf("the next request sees %s", got.Response.Body())
	}
	if n := strings.Count(buf.String(), "w.lua:1:"); n != 1 {
		t.Errorf("warned %d times: %s", n, buf.String())
	}
}

func TestARequestWaitsForAVMAndThenGetsA503(t *testing.T) {
	rt, b := load(t, Config{MaxRequests: 1, VMWait: 5 * time.Millisecond}, map[string]string{"slow.lua": `ngx.sleep(1)`, "t.lua": `ngx.print("x")`})
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(t, b, Handler{Content: "slow.lua"}, "GET", "/", "")
	}()
	for rt.Stats().InUse == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx := do(t, b, Handler{Content: "t.lua"}, "GET", "/", "")
	if ctx.Response.StatusCode() != 503 || len(ctx.Response.Header.Peek("Retry-After")) == 0 {
		t.Errorf("%d", ctx.Response.StatusCode())
	}
	<-done
	if s := rt.Stats(); s.WaitFailed != 1 || s.InUse != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAPoolShrinksWhenIdle(t *testing.T) {
	rt, b := load(t, Config{MinVMs: 1, VMIdle: 20 * time.Millisecond}, map[string]string{"slow.lua": `ngx.sleep(0.02)`})
	bd, err := b.Handler(Handler{Content: "slow.lua"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { serve(bd, nil, "GET", "/", "") })
	}
	wg.Wait()
	for range 500 {
		if rt.Stats().VMs == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%+v", rt.Stats())
}

func TestLoadRefusesWhatCannotRun(t *testing.T) {
	rt := NewRuntime(Config{})
	f := func(files map[string]string, want string) {
		t.Helper()
		var entry []Script
		for n := range files {
			if n == "a.lua" {
				entry = append(entry, Script{n, "content"})
			}
		}
		_, err := rt.Load(files, entry)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(map[string]string{"a.lua": "ngx.say(("}, "a.lua:1:")
	f(map[string]string{"a.lua": "ngx.say(1)", "lib/x.lua": "\n\nx ="}, "lib/x.lua:3:")
	f(map[string]string{"a.lua": "\nlocal m = require 'm'", "lib/m.lua": "\nerror('boom')"}, "lib/m.lua:2: boom")
	f(map[string]string{"a.lua": "\nlocal m = require 'gone'"}, "a.lua:2: module 'gone' not found")
}
