package lua

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/ngx"
)

// one is a runtime whose requests all share one VM, as far as it goes.
func one(cfg Config) Config {
	cfg.MinVMs = 1
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	return cfg
}

func handler(t *testing.T, b *Bundle, h Handler) *Bound {
	t.Helper()
	if h.Route == "" {
		h.Route = h.Content
	}
	bd, err := b.Handler(h)
	if err != nil {
		t.Fatal(err)
	}
	return bd
}

func TestRequestsThatShareAVMKeepTheirGlobalsApart(t *testing.T) {
	rt, b := load(t, one(Config{}), map[string]string{
		"t.lua": `
who = ngx.var.arg_n
rawset(_G, "raw", who)
ngx.sleep(0.002)
local co = coroutine.wrap(function() co_was = who coroutine.yield() end)
co()
ngx.thread.spawn(function() light_was = who end)
ngx.sleep(0.001)
ngx.print(who, raw, co_was, light_was, " ", tostring(_G.who == who))`,
		"r.lua": `local n = 0 for k in pairs(_G) do n = n + 1 end ngx.print(n, tostring(who), tostring(raw))`})
	bd := handler(t, b, Handler{Content: "t.lua"})
	var wg sync.WaitGroup
	for g := range 24 {
		wg.Go(func() {
			for range 5 {
				want := fmt.Sprintf("%d%d%d%d true", g, g, g, g)
				if got := string(serve(bd, nil, "GET", fmt.Sprintf("/?n=%d", g), "").Response.Body()); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
	if got := string(do(t, b, Handler{Content: "r.lua"}, "GET", "/", "").Response.Body()); got != "1nilnil" {
		t.Errorf("the next request sees %s", got)
	}
	if s := rt.Stats(); s.VMs != 1 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestATimerThatWritesGlobalsReachesNoRequest(t *testing.T) {
	_, b := load(t, one(Config{Shared: map[string]int{"d": 1 << 20}}), map[string]string{
		"t.lua": `ngx.timer.at(0, function() leak = 1 ngx.shared.d:set("done", true) end)`,
		"r.lua": `ngx.print(tostring(ngx.shared.d:get("done")), tostring(leak))`})
	do(t, b, Handler{Content: "t.lua"}, "GET", "/", "")
	got := ""
	for range 5000 {
		if got = string(do(t, b, Handler{Content: "r.lua"}, "GET", "/", "").Response.Body()); !strings.HasPrefix(got, "nil") {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if got != "truenil" {
		t.Errorf("got %s", got)
	}
}

func TestABudgetIsCountedExactlyAlsoAmongOthers(t *testing.T) {
	_, b := load(t, one(Config{}), map[string]string{
		"t.lua":     `local t = {} for i = 1, 300 do t[i] = "x" .. i end ngx.sleep(0.001) for i = 1, 5000 do t[i % 300] = {} end ngx.sleep(0.001) for i = 1, 30 do t[i] = ("y"):rep(i) end`,
		"noise.lua": `local s = 0 for i = 1, 20000 do s = s + i if i % 5000 == 0 then ngx.sleep(0.0011) end end`})
	bd := handler(t, b, Handler{Content: "t.lua"})
	var mu sync.Mutex
	var used []ngx.Used
	bd.onUsed = func(u ngx.Used) { mu.Lock(); used = append(used, u); mu.Unlock() }
	serve(bd, nil, "GET", "/", "")
	serve(bd, nil, "GET", "/", "")
	noise := handler(t, b, Handler{Content: "noise.lua"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				serve(bd, nil, "GET", "/", "")
				serve(noise, nil, "GET", "/", "")
			}
		})
	}
	wg.Wait()
	for _, u := range used {
		if u.Instructions != used[1].Instructions || u.Memory != used[1].Memory {
			t.Errorf("%+v, alone %+v", u, used[1])
		}
	}
}

func TestABreachLeavesTheOthersInItsVMAlone(t *testing.T) {
	rt, b := load(t, one(Config{Shared: map[string]int{"d": 1 << 20}}), map[string]string{
		"slow.lua": `local d = ngx.shared.d d:incr("in", 1, 0) while not d:get("go") do ngx.sleep(0.001) end ngx.print("fine")`,
		"bomb.lua": `while true do end`,
		"go.lua":   `ngx.print(ngx.shared.d:get("in")) if ngx.var.arg_go then ngx.shared.d:set("go", true) end`}, Script{"slow.lua", "content"})
	slow := handler(t, b, Handler{Content: "slow.lua"})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if got := string(serve(slow, nil, "GET", "/", "").Response.Body()); got != "fine" {
				t.Errorf("got %q", got)
			}
		})
	}
	asked := handler(t, b, Handler{Content: "go.lua"})
	for range 20000 {
		if string(serve(asked, nil, "GET", "/", "").Response.Body()) == "10" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if ctx := do(t, b, Handler{Content: "bomb.lua", Budget: &Budget{Instructions: 1e5}}, "GET", "/", ""); ctx.Response.StatusCode() != 500 {
		t.Errorf("%d", ctx.Response.StatusCode())
	}
	serve(asked, nil, "GET", "/?go=1", "") // sits in a new VM: the damaged one takes no more
	wg.Wait()
	if s := rt.Stats(); s.Discarded != 1 || s.Created != 2 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// What a hog does must not keep those waiting who share its VM: they all end
// while it still runs.
func TestAHogLeavesTheOthersInItsVMAlone(t *testing.T) {
	hogs := map[string]string{
		"loop":        `while going() do end`,
		"calls":       `local function f() return going() end while f() do end`,
		"pcall":       `while going() do pcall(function() for i = 1, 1e6 do end end) end`,
		"coroutine":   `while going() do coroutine.wrap(function() for i = 1, 1e5 do end end)() end`,
		"strings":     `while going() do local s = ("x"):rep(3000):upper() .. "y" end`,
		"patterns":    `while going() do (("a"):rep(60)):find(".-.-.-b") end`,
		"gsub":        `while going() do (("a"):rep(3000)):gsub("a", function(x) return x end) end`,
		"sort":        `local t = {} for i = 1, 3000 do t[i] = i * 7919 % 3001 end while going() do table.sort(t, function(a, b) return (a * 31) % 101 < (b * 31) % 101 end) end`,
		"plainsort":   `local t = {} while going() do for i = 1, 3000 do t[i] = i * 7919 % 3001 end table.sort(t) end`,
		"metamethod":  `local t = setmetatable({}, {__index = function() return 1 end}) while going() do local x = t.a + t.b end`,
		"xpcall":      `xpcall(error, function() while going() do end end)`,
		"light":       `ngx.thread.wait(ngx.thread.spawn(function() while going() do end end))`,
		"allocations": `while going() do local t = {} for i = 1, 1000 do t[i] = {i} end end`,
		"concat":      `local t = {} for i = 1, 3000 do t[i] = "x" end while going() do local s = table.concat(t, ",") end`,
		"regex":       `while going() do ngx.re.match(("a"):rep(2000) .. "b", "(a+)b", "jo") end`,
	}
	files := map[string]string{
		"fast.lua": `for i = 1, 5 do ngx.sleep(0.001) end ngx.print("fast")`,
		"stop.lua": `ngx.shared.d:set(ngx.var.arg_name, true)`,
	}
	for name, src := range hogs {
		files[name+".lua"] = `local d, name = ngx.shared.d, "` + name + `" local function going() return not d:get(name) end ` + src
	}
	for name := range hogs {
		t.Run(name, func(t *testing.T) {
			_, b := load(t, one(Config{MaxVMs: 1, Shared: map[string]int{"d": 1 << 20}}), files)
			hog := handler(t, b, Handler{Content: name + ".lua", Budget: &Budget{Instructions: -1, Wall: time.Minute, Memory: 1 << 30}})
			fast := handler(t, b, Handler{Content: "fast.lua"})
			ended := make(chan *fasthttp.RequestCtx, 1)
			go func() { ended <- serve(hog, nil, "GET", "/", "") }()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 3 {
						if got := string(serve(fast, nil, "GET", "/", "").Response.Body()); got != "fast" {
							t.Errorf("got %q", got)
						}
					}
				})
			}
			wg.Wait()
			select {
			case ctx := <-ended:
				t.Fatalf("the hog ended before the others: %d", ctx.Response.StatusCode())
			default:
			}
			do(t, b, Handler{Content: "stop.lua"}, "GET", "/?name="+name, "")
			if ctx := <-ended; ctx.Response.StatusCode() != 200 {
				t.Errorf("the hog: %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
			}
		})
	}
}

func TestNewRequestsGoWhereNobodyHogs(t *testing.T) {
	rt, b := load(t, one(Config{Shared: map[string]int{"d": 1 << 20}, VMIdle: 20 * time.Millisecond}), map[string]string{
		"hog.lua":  `while not ngx.shared.d:get("stop") do end`,
		"fast.lua": `ngx.print("x")`,
		"stop.lua": `ngx.shared.d:set("stop", true)`})
	hog := handler(t, b, Handler{Content: "hog.lua", Budget: &Budget{Instructions: -1, Wall: time.Minute}})
	var wg sync.WaitGroup
	fast := handler(t, b, Handler{Content: "fast.lua"})
	vms := 0
	for n := range 3 {
		wg.Go(func() { serve(hog, nil, "GET", "/", "") })
		for i := 0; i < 20000 && vms < n+2; i++ {
			serve(fast, nil, "GET", "/", "")
			time.Sleep(time.Millisecond)
			vms = rt.Stats().VMs
		}
	}
	if vms != 4 {
		t.Errorf("%d VMs for three hogs and the others", vms)
	}
	do(t, b, Handler{Content: "stop.lua"}, "GET", "/", "")
	wg.Wait()
	for range 500 {
		if rt.Stats().VMs == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%+v: those beyond MinVMs were not given up", rt.Stats())
}

// Everything that a script may do to the process ends with an error for its
// request alone.
func TestWhatAScriptCannotDo(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	var breaches []Breach
	var failed []ScriptError
	cfg := one(Config{Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)),
		OnBreach: func(b Breach) { breaches = append(breaches, b) }, OnError: func(e ScriptError) { failed = append(failed, e) }})
	files := map[string]string{"ok.lua": `ngx.print("fine")`}
	f := func(name, src, kind string) {
		t.Helper()
		files["bad.lua"] = "local secret = 1\n" + src
		_, b := load(t, cfg, files)
		mu.Lock()
		log.Reset()
		mu.Unlock()
		breaches, failed = nil, nil
		ctx := do(t, b, Handler{Route: "bad", Content: "bad.lua", Budget: &Budget{Instructions: 2e6, Memory: 16 << 20, Wall: 20 * time.Second}}, "GET", "/", "")
		mu.Lock()
		lines := log.String()
		mu.Unlock()
		if ctx.Response.StatusCode() != 500 || bytes.Contains(ctx.Response.Body(), []byte("bad.lua")) || bytes.Contains(ctx.Response.Body(), []byte("secret")) {
			t.Errorf("%s: %d %s", name, ctx.Response.StatusCode(), ctx.Response.Body())
		}
		switch {
		case kind != "" && (len(breaches) != 1 || breaches[0].Route != "bad" || kind != "any" && breaches[0].Kind != kind):
			t.Errorf("%s: breaches %+v, want one of %s", name, breaches, kind)
		case kind == "" && (len(failed) != 1 || failed[0].Route != "bad" || !strings.Contains(failed[0].Message, "bad.lua:2:")):
			t.Errorf("%s: errors %+v", name, failed)
		}
		if !strings.Contains(lines, "bad.lua:2") || !strings.Contains(lines, "stack traceback:") {
			t.Errorf("%s: the log says %s", name, lines)
		}
		if ok := do(t, b, Handler{Content: "ok.lua"}, "GET", "/", ""); string(ok.Response.Body()) != "fine" {
			t.Errorf("after %s: %d %s", name, ok.Response.StatusCode(), ok.Response.Body())
		}
		b.Close()
	}
	f("os.exit", `os.exit(1)`, "")
	f("os.execute", `os.execute("true")`, "")
	f("io.open", `assert(io.open("/etc/passwd"))`, "")
	f("io.popen", `io.popen("true")`, "")
	f("collectgarbage", `while true do collectgarbage() end`, "instructions")
	f("loop in pcall", `while true do pcall(function() while true do end end) end`, "instructions")
	f("loop in xpcall's handler", `xpcall(error, function() while true do end end)`, "instructions")
	f("loop in a coroutine", `local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end`, "instructions")
	f("gsub callback", `string.gsub("a", "a", function() while true do end end)`, "instructions")
	f("ngx.re.gsub callback", `ngx.re.gsub("a", "a", function() while true do end end)`, "instructions")
	f("metamethod", `local t = setmetatable({}, {__index = function() while true do end end}) return t.x`, "instructions")
	f("sort comparator", `table.sort({3, 2, 1}, function() while true do end end)`, "instructions")
	f("pattern bomb", `string.find(("a"):rep(5000), ".-.-.-.-b")`, "instructions")
	f("string.rep bomb", `local s = ("x"):rep(1e9)`, "memory")
	f("doubling", `local s = "x" while true do s = s .. s end`, "memory")
	f("growing table", `local t = {} while true do t[#t + 1] = {} end`, "any")
	f("deep recursion", `local function g() return 1 + g() end g()`, "")
	f("light thread", `ngx.thread.wait(ngx.thread.spawn(function() while true do end end))`, "instructions")
	f("light thread left alone", `ngx.thread.spawn(function() ngx.sleep(0) while true do end end)`, "instructions")
	f("cjson", `local t = {} for i = 1, 100 do t[i] = ("x"):rep(1e4) end local s = {} while true do s[#s + 1] = require("cjson").encode(t) end`, "any")
}

// What runs after a breach (filters, log) has a budget too.
func TestTheLogPhaseAfterABreachEndsToo(t *testing.T) {
	var kinds []string
	_, b := load(t, one(Config{OnBreach: func(b Breach) { kinds = append(kinds, b.Kind+" "+b.Where) }}), map[string]string{
		"bad.lua": `while true do end`, "log.lua": `while true do end`, "ok.lua": `ngx.print("fine")`})
	ctx := do(t, b, Handler{Content: "bad.lua", Log: []string{"log.lua"}, Budget: &Budget{Instructions: 1e5}}, "GET", "/", "")
	if want := "[instructions bad.lua:1 instructions log.lua:1]"; ctx.Response.StatusCode() != 500 || fmt.Sprint(kinds) != want {
		t.Errorf("%d %v", ctx.Response.StatusCode(), kinds)
	}
	if ok := do(t, b, Handler{Content: "ok.lua"}, "GET", "/", ""); string(ok.Response.Body()) != "fine" {
		t.Errorf("%d %s", ok.Response.StatusCode(), ok.Response.Body())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
