package lua

import (
	"net"
	"strings"
	"testing"

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
