package vm_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice/lua/vm"
)

func compile(t testing.TB, src string) *vm.Proto {
	t.Helper()
	p, err := vm.Compile("=script", src)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneProtoServesManyStatesAtOnce(t *testing.T) {
	p := compile(t, `local t = {a = 1, b = {}, "x"} t.c = tostring(t.a) .. ("k"):rep(3) local s = 0
		for k, v in pairs(t) do s = s + #tostring(k) end return s, t.c, string.format("%d", t.a)`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				s := vm.NewState(vm.Options{})
				vals, err := s.Call(s.Load(p, nil))
				if err != nil || vm.RawEqual(vals[1], vm.String("1kkk")) == false {
					t.Error(vals, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLibrariesOfStatesAreTheirOwn(t *testing.T) {
	a, b := vm.NewState(vm.Options{}), vm.NewState(vm.Options{})
	if _, err := a.Call(a.Load(compile(t, `string.upper = nil table.x = 1 _G.print = 5 getmetatable("").__index.len = nil`), nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Call(b.Load(compile(t, `assert(string.upper and not table.x and type(print) == "function" and ("x"):len() == 1)`), nil)); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentsKeepGlobalsApart(t *testing.T) {
	var told []string
	s := vm.NewState(vm.Options{OnGlobalWrite: func(_ *vm.Thread, name, where string) { told = append(told, name+" "+where) }})
	p := compile(t, "\nx = (x or 0) + 1 x = x return x")
	for range 2 {
		env := vm.NewTable(0, 2)
		meta := vm.NewTable(0, 1)
		meta.SetStr("__index", s.Globals().Value())
		env.SetMetatable(meta)
		s.WatchGlobals(env)
		vals, err := s.Call(s.Load(p, env))
		if n, _ := vals[0].AsNumber(); err != nil || n != 1 {
			t.Errorf("x is %v, %v", n, err)
		}
	}
	if want := "x script:2,x script:2"; strings.Join(told, ",") != want {
		t.Errorf("told of %q, want %q", told, want)
	}
	if !s.Globals().GetStr("x").IsNil() {
		t.Error("a global leaked")
	}
}

func TestErrorsReachGoWithValueAndTraceback(t *testing.T) {
	s := vm.NewState(vm.Options{})
	_, err := s.Call(s.Load(compile(t, "local function f()\nlocal x = nil\nreturn x.y\nend\nlocal r = f()"), nil))
	var le *vm.Error
	if !errors.As(err, &le) || le.Error() != "script:3: attempt to index local 'x' (a nil value)" {
		t.Fatalf("got %v", err)
	}
	want := "stack traceback:\n\tscript:3: in function 'f'\n\tscript:5: in main chunk"
	if le.Traceback != want {
		t.Errorf("traceback %q, want %q", le.Traceback, want)
	}
}

func TestCallInsideGoFunctionCatchesAndMustCallDoesNot(t *testing.T) {
	s := vm.NewState(vm.Options{})
	s.Globals().SetStr("try", vm.NewFunc("try", func(t *vm.Thread) int {
		_, err := t.Call(t.Arg(1))
		t.PushString(fmt.Sprint("caught ", err))
		return 1
	}))
	s.Globals().SetStr("must", vm.NewFunc("must", func(t *vm.Thread) int {
		vals := t.MustCall(t.Arg(1), t.Arg(2))
		for _, v := range vals {
			t.Push(v)
		}
		return len(vals)
	}))
	if _, err := s.Call(s.Load(compile(t, `
		assert(try(function() error("a", 0) end) == "caught a")
		local ok, e = pcall(must, function() error("b", 0) end) assert(not ok and e == "b")
		assert(select("#", must(function(x) return x, nil, x end, 5)) == 3)
		local n = 0
		local ok, e = xpcall(function() must(function() error("c", 0) end) end, function(m) n = n + 1 return m .. "!" end)
		assert(not ok and e == "c!" and n == 1)
		local co = coroutine.wrap(function() must(function() coroutine.yield() end) end)
		local ok, e = pcall(co) assert(not ok and e:find("C%-call boundary"))
		local co = coroutine.wrap(function() return must(function() local f = coroutine.wrap(function() coroutine.yield(1) return 2 end) return f() + f() end) end)
		assert(co() == 3)`), nil)); err != nil {
		t.Fatal(err)
	}
}

func TestTableKeepsOrderAndSurvivesChurn(t *testing.T) {
	tab := vm.NewTable(0, 0)
	for round := range 3 {
		for i := range 1000 {
			tab.SetStr(fmt.Sprint("k", i), vm.Int(i))
			tab.SetInt(i+1, vm.Int(i))
		}
		for i := range 1000 {
			if v, _ := tab.GetStr(fmt.Sprint("k", i)).AsNumber(); int(v) != i {
				t.Fatalf("round %d: k%d is %v", round, i, v)
			}
		}
		n, key := 0, vm.Nil
		for {
			k, _, ok, err := tab.Next(key)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if want := fmt.Sprint("k", n-1000); n >= 1000 && !vm.RawEqual(k, vm.String(want)) {
				t.Fatalf("entry %d is %v, want %s", n, k, want)
			}
			tab.Set(k, vm.Nil)
			key = k
			n++
		}
		if n != 2000 || tab.Len() != 0 {
			t.Fatalf("round %d: %d entries, length %d", round, n, tab.Len())
		}
	}
	if err := tab.Set(vm.Nil, vm.True); err == nil {
		t.Error("a nil key was taken")
	}
}
