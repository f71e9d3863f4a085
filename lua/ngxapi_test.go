package lua

import (
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// Sub-requests, threads and wrapped coroutines behave together as upstream's.
func TestThreadsAndSubrequestsAsUpstream(t *testing.T) {
	f := func(code, want string, logs ...string) {
		t.Helper()
		res, err := RunOnce(Config{}, map[string]string{"t.lua": code}, "t.lua", OneRequest{Method: "POST", Body: "hello\r\nworld"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(string(res.Body), "\n"); res.Status == 200 && got != want || res.Status != 200 && want != "500" {
			t.Errorf("%s\n got %d %q\nwant %q", code, res.Status, got, want)
		}
		for _, l := range logs {
			if !strings.Contains(strings.Join(res.Log, "\n"), l) {
				t.Errorf("%s: no %q in the log:\n%s", code, l, strings.Join(res.Log, "\n"))
			}
		}
	}
	// A sub-request begins when nobody else can go on.
	f(`local out = {}
for i = 1, 2 do ngx.thread.spawn(function() local r = ngx.location.capture("/none") ngx.print(r.status, " ") end) end
ngx.print("main ")`, "main 404 404 ")
	// Threads that only yield do not keep it waiting.
	f(`local done
ngx.thread.spawn(function() ngx.location.capture("/none") done = true end)
for i = 1, 1000 do if done then break end coroutine.yield() end
ngx.print(done)`, "true")
	f(`local t = ngx.thread.spawn(function() ngx.location.capture("/none") end)
local ok, err = ngx.thread.kill(t) ngx.say(err) ngx.thread.wait(t)`, "pending subrequests")
	f(`ngx.thread.spawn(function() ngx.location.capture("/none") end) ngx.exit(200)`, "500", "attempt to abort with pending subrequests")
	f(`local t
coroutine.resume(coroutine.create(function() t = ngx.thread.spawn(function() ngx.sleep(0) end) end))
ngx.thread.wait(t)`, "500", "only the parent coroutine can wait on the thread")
	f(`local inner = coroutine.wrap(function() error("deep") end)
local outer = coroutine.wrap(function() inner() end)
outer()`, "500", "t.lua:1: deep", "coroutine 0:", "coroutine 1:", "coroutine 2:")
	f(`local s = ngx.req.socket() ngx.say(s:receive(), s:receive("*a")) ngx.say(select(2, ngx.req.socket()))
ngx.req.read_body() ngx.say(ngx.req.get_body_data())`, "helloworld\nrequest body already exists\nnil")
	f(`ngx.req.read_body() ngx.say(select(2, ngx.req.socket()))`, "request body already exists")
	f(`ngx.say(select(2, ngx.req.socket(true)))`, "raw request sockets are not supported: read the body with ngx.req.socket(), answer with ngx.print and ngx.flush")
	f(`ngx.req.set_header("Content-Length", 5) ngx.req.read_body() ngx.say(ngx.req.get_body_data())`, "hello")
	f(`ngx.req.read_body() ngx.req.init_body() ngx.req.append_body("ab") ngx.req.finish_body() ngx.say(ngx.req.get_body_data())`, "ab")
	f(`local r = ngx.location.capture("/none") ngx.say(r.status, #r.body, r.truncated)`, "4040true")
	f(`ngx.req.set_header("Y", "a") ngx.req.set_header("Y", "") ngx.say(tostring(ngx.var.http_y))`, "nil")
	f(`ngx.header.X = "a\r\nEvil: 1" ngx.say(ngx.header.X)`, "a%0D%0AEvil: 1")
	f(`ngx.say(-0, " ", {-0})`, "0 0")
	f(`ngx.say(select(2, pcall(ngx.thread.spawn, 1)), select(2, pcall(ngx.cookie_time)))`,
		"bad argument #1 to '?' (Lua function expected)number argument only")
}

func TestAnswersToOlderClientsAndFailuresOfSubRequestsAsUpstream(t *testing.T) {
	scripts := map[string]string{
		"length.lua":  `ngx.header["Content-Length"] = 3 ngx.print("hello")`,
		"exit.lua":    `ngx.print("a") ngx.exit(404)`,
		"closed.lua":  `ngx.location.capture("/closes") ngx.print("not reached")`,
		"closes.lua":  `ngx.exit(444)`,
		"pending.lua": `ngx.thread.spawn(function() ngx.location.capture("/slow") end) error("x")`,
		"slow.lua":    `ngx.sleep(0.05)`,
		"head.lua":    `ngx.print("a") error("x")`,
	}
	_, b := load(t, Config{Logger: quiet()}, scripts)
	b.SetDispatcher(func(_, path string) (*Bound, Params, bool) {
		return handler(t, b, Handler{Route: "sub", Content: path[1:] + ".lua"}), nil, true
	})
	f := func(method, script, protocol string, status int, body string) {
		t.Helper()
		var req fasthttp.Request
		req.Header.SetMethod(method)
		req.Header.SetProtocol(protocol)
		req.SetRequestURI("/")
		ctx := new(fasthttp.RequestCtx)
		ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
		handler(t, b, Handler{Route: "main", Content: script}).Serve(ctx, nil)
		if ctx.Hijacked() != (status == 0) {
			t.Errorf("%s: answered: %v", script, !ctx.Hijacked())
		} else if got := &ctx.Response; status != 0 && (got.StatusCode() != status || string(got.Body()) != body) {
			t.Errorf("%s: %d %q, want %d %q", script, got.StatusCode(), got.Body(), status, body)
		}
	}
	f("GET", "length.lua", "HTTP/1.0", 200, "hel")
	f("GET", "exit.lua", "HTTP/1.0", 200, "a")
	f("GET", "closed.lua", "HTTP/1.1", 0, "")
	f("GET", "pending.lua", "HTTP/1.1", 0, "")
	f("HEAD", "head.lua", "HTTP/1.1", 200, "")
}
