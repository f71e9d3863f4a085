package vm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/lua/vm"
)

// run executes src under a budget and gives the state and the error.
func run(t *testing.T, src string, b vm.Budget) (*vm.State, error) {
	t.Helper()
	s := vm.NewState(vm.Options{})
	s.SetBudget(b)
	p, err := vm.Compile("=script", src)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(s.Load(p, nil))
	return s, err
}

func TestBudgetEndsWhatNeverEnds(t *testing.T) {
	f := func(name, src, kind string) {
		t.Run(name, func(t *testing.T) {
			s, err := run(t, src, vm.Budget{Instructions: 1e6, MemoryBytes: 32 << 20})
			var be *vm.BudgetError
			if !errors.As(err, &be) {
				t.Fatalf("got %v, want a budget error", err)
			}
			if kind != "" && be.Kind != kind {
				t.Errorf("breach of %s, want %s", be.Kind, kind)
			}
			if !s.Dirty() {
				t.Error("the state is not dirty")
			}
			if !strings.HasPrefix(be.Where, "script:") || !strings.Contains(be.Traceback, "stack traceback:") {
				t.Errorf("where %q, traceback %q", be.Where, be.Traceback)
			}
		})
	}
	f("while", "while true do end", "instructions")
	f("goto", "::a:: goto a", "instructions")
	f("repeat", "repeat until false", "instructions")
	f("for", "for i = 1, math.huge do end", "instructions")
	f("recursion by tail calls", "local function f() return f() end f()", "instructions")
	f("inside pcall", "while true do pcall(function() while true do end end) end", "instructions")
	f("pcall in a loop", "while true do pcall(error) end", "instructions")
	f("inside xpcall's handler", "xpcall(error, function() while true do end end)", "instructions")
	f("inside a coroutine", "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end", "instructions")
	f("between coroutines", "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end", "instructions")
	f("metamethod", "local t = setmetatable({}, {__index = function() while true do end end}) return t.x", "instructions")
	f("concat metamethod", "local t = setmetatable({}, {__concat = function() while true do end end}) return pcall(function() return t .. 'x' end)", "instructions")
	f("comparator", "table.sort({3, 2, 1}, function() while true do end end)", "instructions")
	f("gsub callback", "string.gsub('aaa', 'a', function() while true do end end)", "instructions")
	f("iterator", "for x in function() return 1 end do end", "instructions")
	f("__tostring", "print(setmetatable({}, {__tostring = function() while true do end end}))", "instructions")
	f("load's reader", "load(function() while true do end end)", "instructions")
	f("sort", "local t = {} for i = 1, 20000 do t[i] = i % 7 end while true do table.sort(t) end", "instructions")
	f("pattern bomb", "string.find(('a'):rep(100), ('a?'):rep(100) .. ('a'):rep(100))", "")
	f("slow pattern", "string.find(('a'):rep(5000), '.-.-.-.-b')", "instructions")
	f("slow set", "string.find(('a'):rep(1e5), '[' .. ('b'):rep(1e5) .. ']')", "instructions")
	f("many short tables", "while true do local t = {"+strings.Repeat("nil, ", 5000)+"} end", "instructions")
	f("next over cleared entries", "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end while true do next(t) end", "instructions")
	f("pairs over cleared entries", "local t = {} for i = 1, 1e5 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end while true do for k in pairs(t) do end end", "instructions")
	f("clearing", "local t = require('table.new')(10, 1e5) local c = require('table.clear') while true do t.x = 1 c(t) end", "instructions")
	f("slow gsub", "local s = ('a'):rep(100000) while true do s:gsub('a', 'b') end", "")
	f("balance", "local s = ('('):rep(50000) while true do s:find('%b()') end", "instructions")
	f("table.concat", "local t = {} for i = 1, 1000 do t[i] = 'x' end while true do table.concat(t) end", "")
	f("insert at the front", "local t = {} while true do table.insert(t, 1, 1) end", "instructions")
	f("unpack", "local t = {} for i = 1, 7000 do t[i] = i end while true do unpack(t) end", "instructions")
	f("vararg", "local function f(...) return ... end local t = {} for i = 1, 7000 do t[i] = i end while true do f(unpack(t)) end", "instructions")
	f("compile", "while true do loadstring('x = 1') end", "instructions")
	f("table.move", "table.move({}, 1, 1e15, 2)", "instructions")
	f("string.rep", "local s = ('x'):rep(1e9)", "memory")
	f("string.rep to the limit", "local s = ('x'):rep(2 ^ 31 - 1)", "memory")
	f("string.rep with separator", "local s = ('x'):rep(1e8, 'yyyy')", "memory")
	f("nested rep in pcall", "while true do pcall(function() local s = ('x'):rep(1e8) end) end", "memory")
	f("doubling", "local s = 'x' while true do s = s .. s end", "memory")
	f("doubling by gsub", "local s = ('x'):rep(1e6) while true do s = s:gsub('.', '%0%0') end", "")
	f("doubling by format", "local s = 'x' while true do s = ('%s%s'):format(s, s) end", "memory")
	f("growing table", "local t = {} for i = 1, 1e9 do t[i] = {} end", "")
	f("growing hash", "local t = {} for i = 1, 1e9 do t['k' .. i] = {i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i} end", "")
	f("table.new", "local t = require('table.new')(1e8, 0)", "memory")
	f("closures", "local t = {} while true do local a, b, c, d, e, f local g = function() return a, b, c, d, e, f end t[#t + 1] = g end", "")
	f("coroutines", "local t = {} while true do local c = coroutine.wrap(function() coroutine.yield() end) c() t[#t + 1] = c end", "")
	f("upper", "local s = ('x'):rep(1e7) local t = {} while true do t[#t + 1] = s:upper() end", "memory")
	f("format width", "local t = {} while true do t[#t + 1] = ('%99s'):format('') end", "")
	f("setmetatable chain", "local t = {} while true do t = setmetatable({}, {__index = t}) end", "")
}

func TestGarbageIsNotHeldAgainstTheMemoryBudget(t *testing.T) {
	s, err := run(t, "for i = 1, 2000 do local s = ('x'):rep(100000) .. i end return 1", vm.Budget{MemoryBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if s.MemoryUsed() > 4<<20 {
		t.Errorf("%d bytes used", s.MemoryUsed())
	}
}

func TestDeepRecursionIsAnErrorThatCanBeCaught(t *testing.T) {
	f := func(src string) {
		t.Helper()
		_, err := run(t, "local ok, e = pcall(function() "+src+" end) assert(not ok, 'no error') assert(tostring(e):find('overflow') or tostring(e):find('too'), e)",
			vm.Budget{Instructions: 1e8, MemoryBytes: 1 << 30})
		if err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
	f("local function f() return 1 + f() end f()")
	f("local function f(...) return 1 + f(1, ...) end f()")
	f("local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] .. 'x' end return t.x")
	f("local function f() string.gsub('a', 'a', f) end f()")
	f("local function f() table.sort({2, 1}, f) end f()")
	f("local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return 'x' .. tostring(t) end return tostring(t)")
	f("local t = setmetatable({}, {}) getmetatable(t).__add = function(a, b) return a + b + 1 end return t + 1")
	f("local t = setmetatable({}, {}) getmetatable(t).__lt = function(a, b) return not (a < b) end return t < t")
	f("local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) return 'x' .. (a .. b) end return t .. t")
	f("local s = ('('):rep(1000) return assert(load('return ' .. s .. '1' .. s:gsub('.', ')')))")
	f("return assert(load('return ' .. ('{'):rep(1000)))")
	f("return ('x'):rep(1000):match(('(x'):rep(31) .. ('x?'):rep(300) .. (')'):rep(31))")
	f("local function f() return 1 + coroutine.wrap(f)() end f()")
	f("local function f() local a = xpcall(f, print) return a end f() error('overflow')")
}

func TestDeadlineAndInterrupt(t *testing.T) {
	_, err := run(t, "while true do pcall(function() while true do end end) end", vm.Budget{Deadline: time.Now().Add(20 * time.Millisecond)})
	var be *vm.BudgetError
	if !errors.As(err, &be) || be.Kind != "wall time" {
		t.Errorf("got %v, want a breach of wall time", err)
	}
	s := vm.NewState(vm.Options{})
	p, _ := vm.Compile("=x", "while true do end")
	stop := errors.New("stop")
	go func() {
		time.Sleep(5 * time.Millisecond)
		s.Interrupt(stop)
	}()
	if _, err := s.Call(s.Load(p, nil)); !errors.Is(err, stop) {
		t.Errorf("got %v, want the interrupt's error", err)
	}
}

func TestInstructionsAreCountedTheSameEveryTime(t *testing.T) {
	src := "local t = {} for i = 1, 1000 do t[i] = tostring(i) .. 'x' if i % 3 == 0 then pcall(error, i) end end table.sort(t) return #table.concat(t):gsub('1', '2')"
	var first int64
	for i := range 3 {
		s, err := run(t, src, vm.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if n := s.InstructionsUsed(); i == 0 {
			first = n
		} else if n != first {
			t.Errorf("run %d used %d instructions, the first %d", i, n, first)
		}
	}
	if first < 10000 || first > 1e6 {
		t.Errorf("%d instructions", first)
	}
}

func TestAbortPassesEveryPcall(t *testing.T) {
	stop := errors.New("exit")
	s := vm.NewState(vm.Options{})
	s.Globals().SetStr("exit", vm.NewFunc("exit", func(t *vm.Thread) int { t.Abort(stop); return 0 }))
	for _, src := range []string{
		"exit()", "pcall(exit)", "xpcall(exit, print)", "pcall(pcall, exit)", "coroutine.wrap(exit)()", "pcall(coroutine.wrap(function() pcall(exit) end))",
		"table.sort({2, 1}, exit)", "string.gsub('a', 'a', exit)", "for x in exit do end", "return setmetatable({}, {__index = exit}).x", "xpcall(error, exit)",
	} {
		p, err := vm.Compile("=x", src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Call(s.Load(p, nil)); !errors.Is(err, stop) {
			t.Errorf("%s: got %v", src, err)
		}
		if s.Dirty() {
			t.Fatal("an exit made the state dirty")
		}
		ok, _ := vm.Compile("=ok", "return 1 + 1")
		if v, err := s.Call(s.Load(ok, nil)); err != nil || len(v) != 1 {
			t.Fatalf("after %s the state is broken: %v %v", src, v, err)
		}
	}
}

func TestGoPanicBecomesAnErrorNoPcallCatches(t *testing.T) {
	s := vm.NewState(vm.Options{})
	s.Globals().SetStr("boom", vm.NewFunc("boom", func(t *vm.Thread) int { panic("boom") }))
	p, _ := vm.Compile("=x", "pcall(boom)")
	_, err := s.Call(s.Load(p, nil))
	var pe *vm.PanicError
	if !errors.As(err, &pe) || !s.Dirty() {
		t.Errorf("got %v, dirty %v", err, s.Dirty())
	}
}

func TestRefusedFunctionsSayWhy(t *testing.T) {
	for _, src := range []string{"os.exit()", "os.execute('true')", "io.open('x')", "io.popen('x')", "os.remove('x')", "debug.sethook(print, 'l')", "string.dump(print)", "require('ffi')"} {
		_, err := run(t, src, vm.Budget{})
		var le *vm.Error
		if !errors.As(err, &le) {
			t.Errorf("%s: got %v", src, err)
		}
	}
}

func TestCompilingHostileSourceEndsSoon(t *testing.T) {
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	for name, src := range map[string]string{
		"labels":   many(60000, func(i int) string { return fmt.Sprintf("::a%d:: goto a%d ", i, i) }),
		"elseif":   "if x then " + many(60000, func(int) string { return "elseif x then y() " }) + "end",
		"breaks":   "while true do " + many(60000, func(int) string { return "if x then break end " }) + "end",
		"or":       "return x" + many(60000, func(int) string { return " or x" }),
		"and or":   "return x" + many(60000, func(int) string { return " and x or x" }),
		"parens":   many(300, func(int) string { return "((" }),
		"tables":   many(60000, func(int) string { return "x={{" }),
		"concat":   "return x" + many(60000, func(int) string { return "..x" }),
		"comments": many(60000, func(int) string { return "--[[" }),
		"calls":    "f" + many(60000, func(int) string { return "()" }),
		"upvalues": "local x " + many(150, func(int) string { return "function f() return x, " }),
	} {
		start := time.Now()
		_, err := vm.Compile("=x", src)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s took %v (%v)", name, took, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: long message %.80s", name, err)
		}
	}
}
