package vm_test

import (
	"testing"

	"sluice/lua/vm"

	gopher "github.com/yuin/gopher-lua"
)

// The same programs on this machine and on gopher-lua. For PUC Lua and LuaJIT's
// interpreter run the same text by hand: luajit -joff.
var benchPrograms = []struct{ name, setup, body string }{
	{"fib20", "function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end", "fib(20)"},
	{"loop", "", "local x = 0 for i = 1, 10000 do x = x + i % 7 end"},
	{"field", "o = {a = 1, b = 2}", "local o = o for i = 1, 1000 do o.a = o.a + o.b end"},
	{"array", "", "local a = {} for i = 1, 1000 do a[i] = i end local s = 0 for i = 1, #a do s = s + a[i] end"},
	{"method", "C = {} C.__index = C function C:inc(n) self.v = self.v + n end c = setmetatable({v = 0}, C)", "local c = c for i = 1, 1000 do c:inc(1) end"},
	{"strings", "", "for i = 1, 100 do local s = 'k' .. i .. 'v' local u = s:upper():sub(2, 3) end"},
	{"table", "", "for i = 1, 100 do local t = {a = 1, b = 2, c = 3} end"},
	{"closure", "", "for i = 1, 100 do local f = function() return i end f() end"},
	{"pcall", "function ok() end", "for i = 1, 100 do pcall(ok) end"},
	{"error", "", "for i = 1, 100 do pcall(error, 'x') end"},
	{"coroutine", "", "for i = 1, 100 do local f = coroutine.wrap(function(a) coroutine.yield(a) end) f(1) f() end"},
	{"pairs", "t = {a = 1, b = 2, c = 3, 1, 2, 3}", "local t = t for i = 1, 100 do for k, v in pairs(t) do end end"},
	{"match", "", "for i = 1, 100 do (('hello foo=bar')):match('(%w+)=(%w+)') end"},
	{"concat", "", "local t = {} for i = 1, 100 do t[i] = 'line' end local s = table.concat(t, ',')"},
}

func BenchmarkVM(b *testing.B) {
	for _, p := range benchPrograms {
		b.Run(p.name, func(b *testing.B) {
			s := vm.NewState(vm.Options{})
			load := func(src string) vm.Value {
				c, err := vm.Compile("=bench", src)
				if err != nil {
					b.Fatal(err)
				}
				return s.Load(c, nil)
			}
			if _, err := s.Call(load(p.setup)); err != nil {
				b.Fatal(err)
			}
			fn := load(p.body)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Call(fn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGopherLua(b *testing.B) {
	for _, p := range benchPrograms {
		b.Run(p.name, func(b *testing.B) {
			s := gopher.NewState()
			defer s.Close()
			if err := s.DoString(p.setup); err != nil {
				b.Fatal(err)
			}
			fn, err := s.LoadString(p.body)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.CallByParam(gopher.P{Fn: fn, Protect: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewState(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		vm.NewState(vm.Options{})
	}
}

// A handler's shape: a protected call from Go to a Lua function that calls four Go functions.
func BenchmarkCallFromGo(b *testing.B) {
	s := vm.NewState(vm.Options{})
	ready := vm.String("value")
	s.Globals().SetStr("get", vm.NewFunc("get", func(t *vm.Thread) int {
		t.Push(ready)
		return 1
	}))
	s.Globals().SetStr("put", vm.NewFunc("put", func(t *vm.Thread) int {
		t.CheckString(1)
		return 0
	}))
	p, err := vm.Compile("=h", "local a = get('x') put(a) local b = get('y') put(b)")
	if err != nil {
		b.Fatal(err)
	}
	fn := s.Load(p, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Call(fn); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	src := `local M = {} function M.f(a, b) if a < b then return a .. "x" else for i = 1, 10 do b = b + i end end return {a = a, b = b} end return M`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vm.Compile("=c", src); err != nil {
			b.Fatal(err)
		}
	}
}
