package lua

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Each of these once made gigabytes, or took for ever, out of a budget's sight.
func TestNoBuiltinMakesMoreThanTheBudgetAllows(t *testing.T) {
	var mu sync.Mutex
	kind := ""
	_, b := load(t, Config{
		Logger:   quiet(),
		Budget:   Budget{Memory: 8 << 20, Output: 1 << 20, Instructions: 2e6, Wall: time.Minute},
		OnBreach: func(b Breach) { mu.Lock(); kind = b.Kind; mu.Unlock() },
	}, map[string]string{"t.lua": `ngx.req.read_body() local f = assert(loadstring(ngx.req.get_body_data(), "=bomb")) f()`})
	f := func(name, src, want string) {
		t.Run(name, func(t *testing.T) {
			kind = ""
			ctx := do(t, b, Handler{Content: "t.lua"}, "POST", "/", src)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Response.StatusCode() != 500 || kind != want {
				t.Errorf("status %d, breach of %q, want %q", ctx.Response.StatusCode(), kind, want)
			}
		})
	}
	const kept = `local t = {} for i = 1, 200 do t[i] = 0 end local s = string.rep("/", 3e5) for i = 1, 200 do t[i] = `
	f("gsub's template", `string.rep("x", 1e5):gsub("x*", string.rep("%0", 1e3))`, "memory")
	f("ngx.re's template", `ngx.re.sub(string.rep("x", 1e5), "x*", string.rep("$0", 1e3))`, "memory")
	f("string.format", `local s, t = string.rep("x", 1e5), {} for i = 1, 1e3 do t[i] = s end string.format(string.rep("%s", 1e3), unpack(t))`, "memory")
	f("escaping", kept+`ngx.escape_uri(s) end`, "memory")
	f("base64", kept+`ngx.encode_base64(s) end`, "memory")
	f("quoting", kept+`ngx.quote_sql_str(s .. i) end`, "memory")
	f("arguments", `local s, t = string.rep("x", 1e5), {} for i = 1, 1e3 do t[i] = s end ngx.encode_args({a = t})`, "memory")
	f("error messages", kept+`select(2, pcall(ngx.re.find, "a", "b", s)) end`, "memory")
	f("errors with a position", kept+`select(2, pcall(function() error(s) end)) end`, "memory")
	f("tables of headers", `for i = 1, 90 do ngx.req.set_header("X-" .. i, string.rep("v", 100)) end
		local t = {} for i = 1, 4000 do t[i] = 0 end for i = 1, 4000 do t[i] = ngx.req.get_headers() end`, "memory")
	f("fields of ngx", `for i = 1, 3e5 do ngx[i] = i end`, "memory")

	const each = `local t = {} for i = 1, 200 do t[i] = `
	f("what gmatch keeps", each+`string.gmatch(string.rep("x", 1e5) .. i, "x") end`, "memory")
	f("what ngx.re.gmatch keeps", each+`ngx.re.gmatch(string.rep("x", 1e5) .. i, "x") end`, "memory")
	f("what a part of a string keeps", each+`(string.rep("x", 1e5) .. i):sub(1, 300) end for i = 1, 3e4 do t[i] = (string.rep("x", 1000) .. i):sub(1, 300) end`, "memory")
	f("what a capture keeps", each+`ngx.re.match(string.rep("x", 2e5) .. i, "^x{60000}")[0] end`, "memory")
	f("ngx.ctx", `for i = 1, 200 do ngx.ctx[i] = string.rep("x", 1e5) .. i end`, "memory")
	f("response headers", `for i = 1, 200 do ngx.header["X-" .. i] = string.rep("x", 1e5) .. i end`, "memory")
	f("request headers", `for i = 1, 200 do ngx.req.set_header("X-" .. i, string.rep("x", 1e5) .. i) end`, "memory")
	f("light threads that wait", `for i = 1, 200 do ngx.thread.spawn(function() local s = string.rep("x", 1e5) .. i ngx.sleep(1) return s end) end`, "memory")
	f("light threads that are done", each+`ngx.thread.spawn(function() return string.rep("x", 1e5) .. i end) end`, "memory")
	f("arguments of timers", `for i = 1, 200 do ngx.timer.at(60, function() end, string.rep("x", 1e5) .. i) end`, "memory")
	f("a body in the making", `ngx.req.init_body() for i = 1, 200 do ngx.req.append_body(string.rep("x", 1e5)) end`, "memory")

	f("a table written over and over", `local t = {"x"} for i = 1, 60 do t = {t, t} end ngx.print(t)`, "instructions")
	f("a long table written", `local s, t = string.rep("x", 1e5), {} for i = 1, 1e3 do t[i] = s end ngx.print(t)`, "output")
}

func TestAScriptOfSlowBuiltinsEndsAtItsTime(t *testing.T) {
	kind := make(chan string, 1)
	_, b := load(t, Config{
		Logger: quiet(), Budget: Budget{Wall: 50 * time.Millisecond, Instructions: -1, Memory: -1},
		OnBreach: func(b Breach) { kind <- b.Kind },
	}, map[string]string{"t.lua": `local a, b = string.rep("x", 2e7) .. "1", string.rep("x", 2e7) .. "1" while true do if a ~= b then ngx.say("?") end end`})
	do(t, b, Handler{Content: "t.lua"}, "GET", "/", "")
	if got := <-kind; got != "wall time" {
		t.Errorf("breach of %s", got)
	}
}

func TestABreachInASubRequestEndsTheRequest(t *testing.T) {
	breaches := 0
	_, b := load(t, Config{Logger: quiet(), Budget: Budget{Instructions: 1e5}, OnBreach: func(Breach) { breaches++ }}, map[string]string{
		"many.lua":   `for i = 1, 100 do ngx.location.capture("/loop") end ngx.print("through")`,
		"multi.lua":  `ngx.location.capture_multi{{"/loop"}, {"/fine"}} ngx.print("through")`,
		"thread.lua": `ngx.thread.spawn(function() ngx.location.capture("/loop") end) ngx.sleep(1) ngx.print("through")`,
		"filter.lua": `for i = 1, 100 do ngx.location.capture("/filter") end ngx.print("through")`,
		"loop.lua":   `while true do end`,
		"fine.lua":   `ngx.print("fine")`,
	})
	b.SetDispatcher(func(_, path string) (*Bound, Params, bool) {
		h := Handler{Route: "sub", Content: path[1:] + ".lua"}
		if path == "/filter" {
			h.Content, h.BodyFilter = "fine.lua", []string{"loop.lua"}
		}
		return handler(t, b, h), nil, true
	})
	f := func(script string, most int) {
		t.Helper()
		breaches = 0
		ctx := do(t, b, Handler{Content: script}, "GET", "/", "")
		if ctx.Response.StatusCode() != 500 || breaches < 1 || breaches > most {
			t.Errorf("%s: status %d, %d breaches", script, ctx.Response.StatusCode(), breaches)
		}
	}
	for _, h := range []Handler{{Content: "fine.lua", HeaderFilter: []string{"loop.lua"}}, {Content: "fine.lua", BodyFilter: []string{"loop.lua"}}} {
		if ctx := do(t, b, h, "GET", "/", ""); ctx.Hijacked() || ctx.Response.StatusCode() != 500 || !strings.Contains(string(ctx.Response.Body()), "Internal Server Error") {
			t.Errorf("a filter's breach: status %d, %q", ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	f("many.lua", 1)
	f("multi.lua", 1)
	f("thread.lua", 1)
	f("filter.lua", 20)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestTooManyTimersAtOnceAreAlertsOnly(t *testing.T) {
	log := new(countingHandler)
	_, b := load(t, Config{Logger: slog.New(log), MaxRunningTimers: 2, Shared: map[string]int{"d": 1 << 20}}, map[string]string{
		"t.lua":  `for i = 1, 5 do ngx.timer.at(0, function() while not ngx.shared.d:get("go") do ngx.sleep(0.002) end end) end`,
		"n.lua":  `ngx.print(ngx.timer.running_count())`,
		"go.lua": `ngx.shared.d:set("go", true)`,
	})
	do(t, b, Handler{Content: "t.lua"}, "GET", "/", "")
	alerts := func() int { return log.count("lua_max_running_timers are not enough") }
	until(t, "three alerts", func() bool { return alerts() == 3 })
	if got := string(do(t, b, Handler{Content: "n.lua"}, "GET", "/", "").Response.Body()); got != "2" || alerts() != 3 {
		t.Errorf("%s timers run, want 2; %d alerts", got, alerts())
	}
	do(t, b, Handler{Content: "go.lua"}, "GET", "/", "")
}

func TestTimersThatHogRestAfterwards(t *testing.T) {
	f := func(name, src string) {
		t.Run(name, func(t *testing.T) {
			var breaches atomic.Int64
			rt, b := load(t, Config{
				Logger: quiet(), Budget: Budget{Wall: time.Second, Instructions: -1},
				OnBreach: func(Breach) { breaches.Add(1) },
			}, map[string]string{"t.lua": src})
			do(t, b, Handler{Content: "t.lua"}, "GET", "/", "")
			// One of them starts at once and is ended after a second; the others wait until it has rested for ten.
			running := 0
			until(t, "the breach of the first", func() bool {
				running = max(running, rt.Stats().TimersRunning)
				return breaches.Load() > 0
			})
			time.Sleep(100 * time.Millisecond)
			if n := breaches.Load(); n != 1 || running != 1 || rt.Stats().TimersRunning != 0 {
				t.Errorf("%d breaches, %d timers at once, then %d", n, running, rt.Stats().TimersRunning)
			}
		})
	}
	f("every", `ngx.timer.every(0.2, function() while true do end end)`)
	f("one makes the next", `local f f = function() ngx.timer.at(0.2, f) ngx.timer.at(0.2, f) while true do end end ngx.timer.at(0, f)`)
}

func TestAllRunsTogetherAreBounded(t *testing.T) {
	var breaches atomic.Int64
	_, b := load(t, Config{
		Logger: quiet(), TotalMemory: 32 << 20, MinVMs: 2, Budget: Budget{Memory: 16 << 20, Wall: time.Minute}, Shared: map[string]int{"d": 1 << 20},
		OnBreach: func(b Breach) {
			if b.Kind == "memory" {
				breaches.Add(1)
			}
		},
	}, map[string]string{
		"much.lua":   `local s = string.rep("x", 13e6) while not ngx.shared.d:get("go") do ngx.sleep(0.002) end ngx.print(#s)`,
		"go.lua":     `ngx.shared.d:set("go", true)`,
		"little.lua": `local t = {} for i = 1, 4e4 do t[i] = i .. "" end ngx.print(#t)`,
	})
	many := func(script string, n int) (ok int64) {
		var wg sync.WaitGroup
		var good atomic.Int64
		for range n {
			wg.Go(func() {
				if ctx := do(t, b, Handler{Content: script}, "GET", "/", ""); ctx.Response.StatusCode() == 200 {
					good.Add(1)
				}
			})
		}
		wg.Wait()
		return good.Load()
	}
	go func() {
		for deadline := time.Now().Add(30 * time.Second); breaches.Load() < 4 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		do(t, b, Handler{Content: "go.lua"}, "GET", "/", "")
	}()
	if ok := many("much.lua", 6); ok != 2 || breaches.Load() != 4 {
		t.Errorf("%d of 6 runs had room for 13 MB of 32, %d breaches", ok, breaches.Load())
	}
	if ok := many("much.lua", 2); ok != 2 {
		t.Errorf("%d of 2 had room afterwards: memory is not given back", ok)
	}
	if ok := many("little.lua", 20); ok != 20 {
		t.Errorf("%d of 20 small runs had room", ok)
	}
}

// What runs have made and hold no more is nobody's loss.
func TestGarbageOfSomeLeavesOthersTheirMemory(t *testing.T) {
	_, b := load(t, Config{
		Logger: quiet(), TotalMemory: 64 << 20, Shared: map[string]int{"d": 1 << 20},
		Budget: Budget{Memory: 32 << 20, Wall: time.Minute},
	}, map[string]string{
		"garbage.lua": `for i = 1, 400 do local s = string.rep("x", 1e5) .. i end
			ngx.shared.d:incr("made", 1, 0) while not ngx.shared.d:get("go") do ngx.sleep(0.002) end`,
		"made.lua":  `ngx.print(ngx.shared.d:get("made"))`,
		"holds.lua": `local t = {} for i = 1, 40 do t[i] = string.rep("x", 1e5) .. i end`,
		"go.lua":    `ngx.shared.d:set("go", true)`,
	})
	get := func(script string) *fasthttp.RequestCtx { return do(t, b, Handler{Content: script}, "GET", "/", "") }
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 2 {
		wg.Go(func() { get("garbage.lua") })
	}
	until(t, "the garbage", func() bool { return string(get("made.lua").Response.Body()) == "2" })
	if code := get("holds.lua").Response.StatusCode(); code != 200 {
		t.Errorf("status %d for 4 MB, while others hold nothing of 64", code)
	}
	get("go.lua")
}

func TestAVMWhoseModulesGrowWithoutEndIsReplaced(t *testing.T) {
	rt, b := load(t, Config{Logger: quiet(), Budget: Budget{Memory: 2 << 20}}, map[string]string{
		"lib/leak.lua": `local kept = {} return function() kept[#kept + 1] = string.rep("x", 1e5) .. #kept return #kept end`,
		"t.lua":        `ngx.print(require("leak")())`,
	})
	most := ""
	for range 300 {
		if ctx := do(t, b, Handler{Content: "t.lua"}, "GET", "/", ""); ctx.Response.StatusCode() == 200 {
			most = max(most, fmt.Sprintf("%03s", ctx.Response.Body()))
		}
	}
	if most > "120" || rt.Stats().Discarded == 0 {
		t.Errorf("%s times 100 kB were kept, %d VMs discarded", most, rt.Stats().Discarded)
	}
}

// countingHandler keeps the messages of a log.
type countingHandler struct {
	mu   sync.Mutex
	msgs []string
}

func (h *countingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *countingHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *countingHandler) WithGroup(string) slog.Handler            { return h }
func (h *countingHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.msgs = append(h.msgs, r.Message)
	return nil
}

func (h *countingHandler) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.msgs)
}

func (h *countingHandler) count(part string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.msgs {
		if strings.Contains(m, part) {
			n++
		}
	}
	return n
}
