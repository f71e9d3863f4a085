package lua

import (
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// BenchmarkInFlight has 512 requests in flight that spend their time in a
// backend, as draws at the top of the hour do: two calls each, answered in
// batches. What it shows is the CPU of a request whose memory has gone cold
// while it waited.
func BenchmarkInFlight(b *testing.B) {
	const inFlight = 512
	calls := make(chan chan struct{}, inFlight)
	go func() { // the backend: answers whoever has gathered
		var batch []chan struct{}
		for c := range calls {
			batch = append(batch[:0], c)
			runtime.Gosched()
			for range len(calls) {
				batch = append(batch, <-calls)
			}
			for _, c := range batch {
				c <- struct{}{}
			}
		}
	}()
	defer close(calls)
	replies := sync.Pool{New: func() any { return make(chan struct{}, 1) }}
	get := vm.NewFunc("get", func(t *vm.Thread) int {
		Block(t, func() {
			c := replies.Get().(chan struct{})
			calls <- c
			<-c
			replies.Put(c)
		})
		t.Push(t.Arg(1))
		return 1
	})
	module := Module{Name: "backend", Open: func(*VM) vm.Value {
		m := vm.NewTable(0, 1)
		m.SetStr("get", get)
		return m.Value()
	}}
	_, bu := load(b, Config{Modules: []Module{module}, Logger: quiet()}, map[string]string{
		"lib/answer.lua": `
local answer = {}
function answer.json(status, text)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(text)
end
return answer`,
		"auth.lua": `
local answer = require "answer"
local uid = ngx.var.http_authorization
if not uid then return answer.json(401, "no") end
ngx.ctx.uid = uid
ngx.ctx.scope = "draw"`,
		"draw.lua": `
local backend = require "backend"
local answer = require "answer"
ngx.req.read_body()
local seen, problem = backend.get(ngx.var.id, ngx.ctx.uid)
if not seen then return answer.json(500, problem) end
local outcome
if not outcome then
  outcome, problem = backend.get("won", ngx.var.http_idempotency_key)
  if not outcome then return answer.json(500, problem) end
end
answer.json(200, '{"outcome":"' .. outcome .. '"}')`,
	})
	bd, err := bu.Handler(Handler{Route: "draw", Access: []string{"auth.lua"}, Content: "draw.lua"})
	if err != nil {
		b.Fatal(err)
	}
	work := make(chan int, inFlight)
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			var req fasthttp.Request
			req.SetRequestURI("/v1/redpackets/abc/draw")
			req.Header.SetMethod("POST")
			req.Header.SetHost("localhost")
			req.Header.Set("Authorization", "u1")
			ctx := new(fasthttp.RequestCtx)
			ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
			ps := Params{{Name: "id", Value: "abc"}}
			for n := range work {
				for range n {
					ctx.Response.Reset()
					bd.Serve(ctx, ps)
					if ctx.Response.StatusCode() != 200 {
						b.Error(ctx.Response.StatusCode())
						return
					}
				}
			}
		})
	}
	b.ReportAllocs()
	before := cpuSeconds(b)
	b.ResetTimer()
	const chunk = 8
	n := b.N
	for ; n > chunk; n -= chunk {
		work <- chunk
	}
	work <- n
	close(work)
	wg.Wait()
	b.ReportMetric((cpuSeconds(b)-before)*1e9/float64(b.N), "cpu-ns/op")
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
