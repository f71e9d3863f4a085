package lua

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"sluice/lua/ngx"
	"sluice/lua/vm"
)

// say runs an expression list through ngx.say and gives the line.
func say(t *testing.T, b func(src string) *fasthttp.RequestCtx) func(expr, want string) {
	return func(expr, want string) {
		t.Helper()
		ctx := b("ngx.print(" + expr + ")")
		if got := string(ctx.Response.Body()); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestEscapingAndDigests(t *testing.T) {
	f := say(t, func(src string) *fasthttp.RequestCtx { return run(t, src, "/") })
	f(`ngx.escape_uri("a b&c/d?é~-_.!*'()")`, "a%20b%26c%2Fd%3F%C3%A9~-_.!*'()")
	f(`ngx.escape_uri("a b/c", 0)`, "a%20b/c")
	f(`ngx.unescape_uri("a%20b+c%zz%4")`, "a b c%zz%4")
	f(`ngx.encode_args({a = {1, 2, true}})`, "a=1&a=2&a")
	f(`ngx.encode_args({["b c"] = "&"})`, "b%20c=%26")
	f(`ngx.decode_args("a=1&b&a=2").a[2]`, "2")
	f(`tostring(ngx.decode_args("a=1&b").b)`, "true")
	f(`select(2, ngx.decode_args("a=1&b=2&c=3", 2))`, "truncated")
	f(`ngx.md5("hello")`, "5d41402abc4b2a76b9719d911017c592")
	f(`#ngx.md5_bin("x"), #ngx.sha1_bin("x"), #ngx.hmac_sha1("k", "v")`, "162020")
	f(`ngx.crc32_short("hello"), " ", ngx.crc32_long("hello")`, "907060870 907060870")
	f(`ngx.encode_base64("hi\0"), ngx.encode_base64("a", true)`, "aGkAYQ")
	f(`ngx.decode_base64("aGk="), tostring(ngx.decode_base64("a*"))`, "hinil")
	f(`ngx.quote_sql_str("a'b\n\0")`, `'a\'b\n\0'`)
}

func TestTimes(t *testing.T) {
	_, b := load(t, Config{Clock: func() time.Time { return time.Unix(1290079655, 5e6).UTC() }, Budget: Budget{Wall: -1}},
		map[string]string{"t.lua": `
ngx.say(ngx.time(), " ", ngx.now(), " ", ngx.utctime(), " ", ngx.http_time(1290079655), " ", ngx.cookie_time(1290079655))
ngx.say(ngx.parse_http_time("Thu, 18 Nov 2010 11:27:35 GMT"), " ", tostring(ngx.parse_http_time("x")))`})
	got := string(do(t, b, Handler{Content: "t.lua"}, "GET", "/", "").Response.Body())
	want := "1290079655 1290079655.005 2010-11-18 11:27:35 Thu, 18 Nov 2010 11:27:35 GMT Thu, 18-Nov-10 11:27:35 GMT\n1290079655 nil\n"
	if got != want {
		t.Errorf("%q", got)
	}
}

func TestTheRequestAsScriptsSeeIt(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		_, b := load(t, Config{Logger: quiet()}, map[string]string{"t.lua": src})
		ctx := do(t, b, Handler{Content: "t.lua"}, "POST", "/a//b%20c?x=1&y=%20z&x=2", "k=v&flag", "X-Foo", "bar", "Cookie", "sid=abc; q=1", "X-Foo", "baz")
		if got := string(ctx.Response.Body()); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	f(`ngx.print(ngx.req.get_method(), " ", ngx.var.uri, " ", ngx.var.args, " ", ngx.var.request_uri)`, "POST /a/b c x=1&y=%20z&x=2 /a//b%20c?x=1&y=%20z&x=2")
	f(`local a = ngx.req.get_uri_args() ngx.print(a.x[2], a.y)`, "2 z")
	f(`ngx.print(ngx.var.arg_y, "|", tostring(ngx.var.arg_no))`, "%20z|nil")
	f(`local h = ngx.req.get_headers() ngx.print(h["X-Foo"][2], h.x_foo[1], h.host)`, "bazbarlocalhost")
	f(`ngx.print(ngx.var.http_x_foo, ngx.var.cookie_sid, ngx.var.http_host)`, "barabclocalhost")
	f(`ngx.print(tostring(ngx.req.get_body_data()))`, "nil")
	f(`ngx.req.read_body() ngx.print(ngx.req.get_body_data(), ngx.var.request_body)`, "k=v&flagk=v&flag")
	f(`ngx.req.read_body() local p = ngx.req.get_post_args() ngx.print(p.k, p.flag)`, "vtrue")
	f(`ngx.req.set_header("X-Foo", {"1", "2"}) ngx.print(ngx.req.get_headers()["x-foo"][2])`, "2")
	f(`ngx.req.clear_header("x-foo") ngx.print(tostring(ngx.var.http_x_foo))`, "nil")
	f(`ngx.req.set_uri_args({q = 5}) ngx.print(ngx.var.args)`, "q=5")
	f(`ngx.req.set_method(ngx.HTTP_PUT) ngx.print(ngx.req.get_method())`, "PUT")
	f(`ngx.req.read_body() ngx.req.init_body() ngx.req.append_body("a") ngx.req.append_body("b") ngx.req.finish_body() ngx.print(ngx.req.get_body_data())`, "ab")
	f(`ngx.print(ngx.var.remote_addr, " ", ngx.var.scheme, " ", ngx.var.host, " ", #ngx.var.request_id)`, "127.0.0.1 http localhost 32")
	f(`ngx.print(ngx.get_phase(), tostring(ngx.is_subrequest), tostring(ngx.headers_sent))`, "contentfalsefalse")
}

func TestTheAnswer(t *testing.T) {
	f := func(src string, status int, header, value, body string) {
		t.Helper()
		_, b := load(t, Config{Logger: quiet()}, map[string]string{"t.lua": src})
		r := &do(t, b, Handler{Content: "t.lua"}, "GET", "/", "").Response
		if r.StatusCode() != status || header != "" && string(r.Header.Peek(header)) != value || body != "*" && string(r.Body()) != body {
			t.Errorf("%s: %d %s=%q %q", src, r.StatusCode(), header, r.Header.Peek(header), r.Body())
		}
	}
	f(`ngx.status = 404 ngx.say("x")`, 404, "Content-Type", "text/plain", "x\n")
	f(`ngx.header.content_type = "application/json" ngx.print("{}")`, 200, "Content-Type", "application/json", "{}")
	f(`ngx.header["X-A"] = "1" ngx.header.x_b = {"2"} ngx.print(ngx.header.x_a, ngx.header["X-B"])`, 200, "X-A", "1", "12")
	f(`ngx.header.X_A = "a\r\nEvil: 1" ngx.print("x")`, 200, "Evil", "", "x")
	f(`ngx.exit(403)`, 403, "Content-Type", "text/html", "*")
	f(`ngx.exit(204)`, 204, "", "", "")
	f(`ngx.say("a") ngx.exit(200) ngx.say("b")`, 200, "", "", "a\n")
	f(`ngx.redirect("/x", 301)`, 301, "Location", "/x", "*")
	f(`pcall(ngx.exit, 401) ngx.say("not reached")`, 401, "", "", "*")
	f(`ngx.say({a = 1})`, 500, "", "", "*")
	f(`ngx.print("a") ngx.header.x = 1 ngx.print("b")`, 200, "X", "", "ab")
}

func TestThePhasesOfARoute(t *testing.T) {
	files := map[string]string{
		"rewrite.lua": `ngx.ctx.trail = "rewrite"`,
		"auth.lua":    `if ngx.var.arg_deny then ngx.exit(403) end ngx.ctx.trail = ngx.ctx.trail .. " access"`,
		"content.lua": `ngx.print(ngx.ctx.trail, " ", ngx.var.id)`,
		"head.lua":    `ngx.header["X-Phase"] = ngx.get_phase()`,
		"body.lua":    `ngx.arg[1] = string.upper(ngx.arg[1])`,
		"log.lua":     `ngx.log(ngx.ERR, "done ", ngx.status)`,
	}
	var buf bytes.Buffer
	_, b := load(t, Config{Logger: slog.New(slog.NewTextHandler(&buf, nil))}, files)
	bd, err := b.Handler(Handler{Route: "r", Rewrite: []string{"rewrite.lua"}, Access: []string{"auth.lua"}, Content: "content.lua",
		HeaderFilter: []string{"head.lua"}, BodyFilter: []string{"body.lua"}, Log: []string{"log.lua"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &serve(bd, Params{{Name: "id", Value: "x7"}}, "GET", "/", "").Response
	if string(r.Body()) != "REWRITE ACCESS X7" || string(r.Header.Peek("X-Phase")) != "header_filter" {
		t.Errorf("%q %q", r.Body(), r.Header.Peek("X-Phase"))
	}
	if !strings.Contains(buf.String(), "done 200") {
		t.Error(buf.String())
	}
	if r := &serve(bd, nil, "GET", "/?deny=1", "").Response; r.StatusCode() != 403 {
		t.Error(r.StatusCode())
	}
}

func TestSubRequestsAndJumps(t *testing.T) {
	_, b := load(t, Config{Logger: quiet()}, map[string]string{
		"main.lua": `
local res = ngx.location.capture("/sub", {method = ngx.HTTP_POST, body = "hi", args = {a = 1}})
ngx.say(res.status, " ", res.body, " ", res.header["X-Sub"])
local a, c = ngx.location.capture_multi{{"/sub?a=2"}, {"/gone"}}
ngx.say(a.status, " ", a.body, " ", c.status)`,
		"sub.lua": `ngx.header.x_sub = "yes" ngx.req.read_body()
ngx.print(ngx.req.get_method(), ngx.var.arg_a, tostring(ngx.req.get_body_data()), tostring(ngx.is_subrequest))`,
		"exec.lua": `ngx.exec("/sub", "a=9")`,
	})
	sub, err := b.Handler(Handler{Route: "sub", Content: "sub.lua"})
	if err != nil {
		t.Fatal(err)
	}
	b.SetDispatcher(func(_, path string) (*Bound, Params, bool) { return sub, nil, path == "/sub" })
	if got := string(do(t, b, Handler{Content: "main.lua"}, "GET", "/", "").Response.Body()); got != "200 POST1hitrue yes\n200 GET2niltrue 404\n" {
		t.Errorf("%q", got)
	}
	if got := string(do(t, b, Handler{Content: "exec.lua"}, "GET", "/", "").Response.Body()); got != "GET9nilfalse" {
		t.Errorf("%q", got)
	}
}

func TestLightThreadsTimersAndSemaphores(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		_, b := load(t, Config{Logger: quiet()}, map[string]string{"t.lua": src})
		if got := string(do(t, b, Handler{Content: "t.lua"}, "GET", "/", "").Response.Body()); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	f(`local function f(n) ngx.sleep(n / 1000) return n end
local a, b = ngx.thread.spawn(f, 500), ngx.thread.spawn(f, 1)
local ok, v = ngx.thread.wait(a, b) ngx.print(v) ok, v = ngx.thread.wait(a) ngx.print(v)`, "1500")
	f(`local co = ngx.thread.spawn(function() error("x") end) local ok, e, at = ngx.thread.wait(co) ngx.print(tostring(ok), e, " ", at)`, "falsex t.lua:1: x")
	f(`local co = ngx.thread.spawn(function() ngx.sleep(5) end) ngx.print(ngx.thread.kill(co), tostring(ngx.thread.kill(co)))`, "1nil")
	f(`ngx.thread.spawn(function() ngx.sleep(0.001) ngx.print("t") ngx.exit(200) end) ngx.sleep(9) ngx.print("never")`, "t")
	f(`local s = require("ngx.semaphore").new() ngx.thread.spawn(function() ngx.sleep(0.001) s:post() end)
ngx.print(tostring(s:wait(9)), tostring(s:wait(0.001)), s:count())`, "truefalse0")
	f(`local n = 0 ngx.timer.at(0, function(premature, x) n = n + x end, 5) while n == 0 do ngx.sleep(0.002) end ngx.print(n)`, "5")
	f(`for i = 1, 2 do ngx.thread.spawn(function() ngx.print(i) coroutine.yield() ngx.print(i) end) end ngx.print("e")`, "121e2")
	f(`local co = coroutine.wrap(function() ngx.sleep(0.001) coroutine.yield(1) end) ngx.print(co())`, "1")
}

func TestAGoModuleSeesTheRequest(t *testing.T) {
	mod := Module{Name: "sluice.test", Open: func(v *VM) vm.Value {
		m := vm.NewTable(0, 1)
		m.SetStr("path", vm.NewFunc("path", func(t *vm.Thread) int {
			r := RequestOf(t)
			r.CountCall(t)
			s := ""
			Block(t, func() { s = string(r.Ctx().Path()) })
			t.PushString(s)
			return 1
		}))
		return m.Value()
	}}
	var got []Breach
	_, b := load(t, Config{Modules: []Module{mod}, Logger: quiet(), OnBreach: func(x Breach) { got = append(got, x) }}, map[string]string{
		"t.lua": `ngx.print(require("sluice.test").path())`, "many.lua": `local m = require "sluice.test" while true do m.path() end`})
	if got := string(do(t, b, Handler{Content: "t.lua"}, "GET", "/p/q", "").Response.Body()); got != "/p/q" {
		t.Error(got)
	}
	do(t, b, Handler{Content: "many.lua", Budget: &ngx.Budget{Calls: 5}}, "GET", "/", "")
	if len(got) != 1 || got[0].Kind != "calls" {
		t.Errorf("%+v", got)
	}
}

func TestFlushSendsBeforeTheScriptEnds(t *testing.T) {
	_, b := load(t, Config{Logger: quiet()}, map[string]string{"t.lua": `ngx.say("one") ngx.flush(true) ngx.sleep(0.3) ngx.say("two")`})
	bd, err := b.Handler(Handler{Content: "t.lua"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { bd.Serve(ctx, nil) }}
	go func() { _ = srv.Serve(ln) }()
	defer func() { _ = srv.Shutdown() }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "one\n" {
		t.Fatalf("%q %v", buf, err)
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "two\n" {
		t.Fatalf("%q %v", rest, err)
	}
}

func TestAbuseOfTheAPIIsAnErrorNotAPanic(t *testing.T) {
	var buf bytes.Buffer
	_, b := load(t, Config{Logger: slog.New(slog.NewTextHandler(&buf, nil))}, map[string]string{"t.lua": `
local odd = {nil, true, -1, 0, 1e300, 0/0, "", "\0\255", ("x"):rep(5000), {}, {{}}, function() end, coroutine.create(function() end), ngx.null}
local function try(name, f)
  for i = 0, 14 do for j = 0, 14 do pcall(f, odd[i], odd[j]) pcall(f, odd[i], odd[j], odd[i], odd[j]) end end
end
local skip = {exit = 1, exec = 1, redirect = 1, sleep = 1, eof = 1, flush = 1, say = 1, print = 1, send_headers = 1}
for name, f in pairs(ngx) do if type(f) == "function" and not skip[name] then try(name, f) end end
for _, sub in ipairs{"req", "resp", "worker", "config", "re"} do
  for name, f in pairs(ngx[sub]) do if type(f) == "function" and name ~= "set_uri" then try(name, f) end end
end
for i = 0, 14 do
  pcall(function() return ngx.var[odd[i]] end) pcall(function() ngx.var[odd[i]] = odd[i] end)
  pcall(function() return ngx.header[odd[i]] end) pcall(function() ngx.ctx = odd[i] end)
  pcall(function() ngx.status = odd[i] end) pcall(ngx.thread.spawn, odd[i]) pcall(ngx.thread.wait, odd[i])
  pcall(ngx.thread.kill, odd[i]) pcall(ngx.location.capture, odd[i], odd[i])
end
ngx.status = 200
ngx.print("alive")`})
	ctx := do(t, b, Handler{Content: "t.lua", Budget: &ngx.Budget{Instructions: -1, Wall: -1, Memory: 1 << 30, Subrequests: 1000, Timers: 1000}}, "GET", "/?a=b", "body")
	if got := string(ctx.Response.Body()); got != "alive" {
		t.Errorf("%d %q %s", ctx.Response.StatusCode(), got, buf.String())
	}
}

func TestAFailureBehindTheFirstOutputIsNoWholeAnswer(t *testing.T) {
	_, b := load(t, Config{Logger: quiet(), Budget: Budget{Instructions: 1e5}}, map[string]string{
		"error.lua":  `ngx.print("begun") error("secret")`,
		"exit.lua":   `ngx.print("begun") ngx.exit(ngx.ERROR)`,
		"flush.lua":  `ngx.print("begun") ngx.flush(true) ngx.sleep(0.01) error("secret")`,
		"breach.lua": `ngx.print("begun") while true do end`,
		"eof.lua":    `ngx.print("whole") ngx.eof() error("secret")`,
	})
	f := func(script string, status int, body string, whole bool) {
		t.Helper()
		ln := fasthttputil.NewInmemoryListener()
		defer func() { _ = ln.Close() }()
		bd := handler(t, b, Handler{Route: "test", Content: script})
		go func() { _ = fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { bd.Serve(ctx, nil) }) }()
		c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.Dial() }, DisableKeepAlives: true}}
		resp, err := c.Get("http://localhost/")
		if status == 0 {
			if err == nil {
				t.Errorf("%s: status %d, want no answer", script, resp.StatusCode)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", script, err)
			return
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status || !strings.Contains(string(got), body) || strings.Contains(string(got), "secret") || (err == nil) != whole {
			t.Errorf("%s: status %d, body %q, error %v", script, resp.StatusCode, got, err)
		}
	}
	f("error.lua", 0, "", false)
	f("exit.lua", 0, "", false)
	f("flush.lua", 200, "begun", false)
	f("breach.lua", 500, "Internal Server Error", true)
	f("eof.lua", 200, "whole", true)
}
