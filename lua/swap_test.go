package lua

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

func TestASwapFailsNoRequestAndMixesNoVersions(t *testing.T) {
	rt := NewRuntime(Config{MinVMs: 1, Logger: quiet()})
	bind := func(n int) *Bound {
		b, err := rt.Load(map[string]string{
			"lib/v.lua": fmt.Sprintf("return %d", n),
			"t.lua":     fmt.Sprintf(`local v = require "v" ngx.sleep(0.001) ngx.print(v, " ", %d)`, n)}, []Script{{Path: "t.lua", Phase: "content"}})
		if err != nil {
			t.Fatal(err)
		}
		bd, err := b.Handler(Handler{Route: "t", Content: "t.lua"})
		if err != nil {
			t.Fatal(err)
		}
		return bd
	}
	var live atomic.Pointer[Bound]
	live.Store(bind(0))
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				ctx := serve(live.Load(), nil, "GET", "/", "")
				var a, b int
				if _, err := fmt.Sscan(string(ctx.Response.Body()), &a, &b); err != nil || a != b {
					t.Errorf("%d %q", ctx.Response.StatusCode(), ctx.Response.Body())
					return
				}
			}
		})
	}
	for n := 1; n <= 15; n++ {
		old := live.Swap(bind(n))
		old.b.Close()
		time.Sleep(2 * time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	for range 5000 { // retired bundles give their VMs up
		if rt.Stats().InUse == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(rt.bundles); n != 1 {
		t.Errorf("%d bundles left", n)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPanicInAGoModuleIsA500AndTheVMIsThrownAway(t *testing.T) {
	mod := Module{Name: "bad", Open: func(*VM) vm.Value {
		return vm.NewFunc("bad", func(*vm.Thread) int { panic("a defect") })
	}}
	rt, b := load(t, Config{Modules: []Module{mod}, Logger: quiet()}, map[string]string{
		"bad.lua": `pcall(require "bad") ngx.say("x")`, "ok.lua": `ngx.print("ok")`})
	if ctx := do(t, b, Handler{Content: "bad.lua"}, "GET", "/", ""); ctx.Response.StatusCode() != 500 {
		t.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	if ctx := do(t, b, Handler{Content: "ok.lua"}, "GET", "/", ""); string(ctx.Response.Body()) != "ok" {
		t.Errorf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	if s := rt.Stats(); s.Discarded != 1 {
		t.Errorf("%+v", s)
	}
}

func TestManyRequestsWithLightThreadsAtOnce(t *testing.T) {
	_, b := load(t, Config{Logger: quiet(), MaxRequests: 8, VMWait: 10 * time.Second}, map[string]string{"t.lua": `
local n = tonumber(ngx.var.arg_n)
local cos = {}
for i = 1, 3 do cos[i] = ngx.thread.spawn(function() ngx.sleep(0.001 * (i % 2)) return n + i end) end
local sum = 0
for i = 1, 3 do local ok, v = ngx.thread.wait(cos[i]) sum = sum + v end
ngx.timer.at(0, function() end)
ngx.thread.spawn(function() ngx.sleep(10) end)
ngx.print(sum)
ngx.exit(200)`})
	bd, err := b.Handler(Handler{Content: "t.lua"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 20 {
				n := g*100 + i
				ctx := serve(bd, nil, "GET", fmt.Sprintf("/?n=%d", n), "")
				if got := string(ctx.Response.Body()); got != fmt.Sprint(3*n+6) {
					t.Errorf("%d: %d %q", n, ctx.Response.StatusCode(), got)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkHeaders is a handler that reads what an access script reads.
func BenchmarkHeaders(b *testing.B) {
	_, bu := load(b, Config{}, map[string]string{"t.lua": `
local auth = ngx.var.http_authorization
local m = ngx.req.get_method()
local uid = ngx.var.arg_uid
if not auth or m ~= "GET" then ngx.exit(401) end
ngx.header["X-User"] = uid
ngx.print("ok")`})
	bd, err := bu.Handler(Handler{Route: "h", Content: "t.lua"})
	if err != nil {
		b.Fatal(err)
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	wire := "GET /x?uid=u1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abc\r\nUser-Agent: bench\r\n\r\n"
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(wire))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		bd.Serve(ctx, nil)
	}
}

// BenchmarkNothing is the same loop without a script: what the others cost
// beyond it is the script's.
func BenchmarkNothing(b *testing.B) {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		ctx.SetContentType("application/json")
		ctx.SetBodyString(`{"id":"abc"}`)
	}
}
