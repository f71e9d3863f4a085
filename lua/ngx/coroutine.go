package ngx

import (
	"fmt"
	"strings"

	"sluice/lua/vm"
)

// yieldSource makes coroutine.yield work in the entry thread of a handler,
// where there is nobody to yield to: the other light threads run, then it
// goes on.
//
// wrap hands errors on as they are, with the coroutine's traceback, where
// LuaJIT's own puts one more position in front; so does ours in phases that
// cannot wait, as upstream has its own there.
const yieldSource = `local yield, entry, relax, create, resume, error, failed = ...
local function check(co, ok, ...)
  if ok then return ... end
  return error(failed(co, ...))
end
return function(...)
  if entry() then return relax() end
  return yield(...)
end, function(f)
  local co = create(f)
  return function(...) return check(co, resume(co, ...)) end
end`

// isEntry reports whether t is where scripts begin, not a coroutine.
func isEntry(t *vm.Thread) bool {
	if t == t.State().Main() {
		return true
	}
	tk, _ := t.Data().(*task)
	return tk != nil && tk.seat != nil
}

func (v *VM) openCoroutines() {
	co := v.State.Globals().GetStr("coroutine").AsTable()
	if co == nil {
		return
	}
	p, err := vm.Compile("=coroutine_api", yieldSource)
	if err != nil {
		panic(err)
	}
	entry := vm.NewFunc("entry", func(t *vm.Thread) int {
		t.PushBool(isEntry(t))
		return 1
	})
	relax := vm.NewFunc("relax", func(t *vm.Thread) int {
		v := vmOf(t)
		v.relax(v.cur)
		v.cur.check(t)
		return 0
	})
	failed := vm.NewFunc("failed", func(t *vm.Thread) int {
		v, what := vmOf(t), t.Arg(2)
		if s, ok := what.AsString(); ok && RequestOf(t).phase&phasesWait == 0 {
			what = vm.String(t.Where(2) + s)
		}
		t.Push(what)
		if co := t.Arg(1).AsThread(); co != nil {
			if !vm.RawEqual(v.inner.what, what) {
				v.inner = innerTrace{what: what}
			}
			v.inner.bodies = append(v.inner.bodies, traceBody(co.Traceback("")))
		}
		t.Push(vm.Int(0))
		return 2
	})
	res, err := v.State.Call(v.State.Load(p, v.State.Globals()), co.GetStr("yield"), entry, relax,
		co.GetStr("create"), co.GetStr("resume"), v.State.Globals().GetStr("error"), failed)
	if err != nil {
		panic(err)
	}
	co.SetStr("yield", res[0])
	co.SetStr("wrap", res[1])
	status := co.GetStr("status")
	co.SetStr("status", vm.NewFunc("status", func(t *vm.Thread) int {
		if th := t.Arg(1).AsThread(); th != nil {
			if l, ok := th.Data().(*task); ok && l.light != nil {
				switch {
				case l.done && !l.waited && l.parent != nil && l.killed == nil:
					t.PushString("zombie")
					return 1
				case l.done || l.killed != nil:
					t.PushString("dead")
					return 1
				case l == vmOf(t).cur && th == t:
				case l == vmOf(t).cur:
					t.PushString("normal")
					return 1
				case th.Status() == "normal":
					t.PushString("normal")
					return 1
				default:
					t.PushString("running")
					return 1
				}
			}
		}
		for _, x := range t.MustCall(status, t.Arg(1)) {
			t.Push(x)
		}
		return 1
	}))
	running := co.GetStr("running")
	co.SetStr("running", vm.NewFunc("running", func(t *vm.Thread) int {
		if isEntry(t) {
			if RequestOf(t).phase&phasesWait != 0 {
				t.Push(t.Value())
			} else {
				t.PushNil()
			}
			return 1
		}
		for _, x := range t.MustCall(running) {
			t.Push(x)
			return 1
		}
		t.PushNil()
		return 1
	}))
	// OpenResty keeps the originals beside its own under these names.
	co.SetStr("isyieldable", vm.Nil)
	for _, k := range []string{"create", "yield", "resume", "status", "wrap"} {
		co.SetStr("_"+k, co.GetStr(k))
		co.SetStr("__"+k, co.GetStr(k))
	}
}

// innerTrace is where an error passed through wrapped coroutines, innermost
// first.
type innerTrace struct {
	what   vm.Value
	bodies []string
}

// wholeTrace is the traceback of an error that ended a script: the coroutines
// it came through, then the thread that it ended.
func (v *VM) wholeTrace(e *vm.Error) string {
	bodies := []string{traceBody(e.Traceback)}
	if vm.RawEqual(v.inner.what, e.Value) && len(v.inner.bodies) > 0 {
		bodies = append(v.inner.bodies, bodies...)
	}
	v.inner = innerTrace{}
	var b strings.Builder
	b.WriteString("stack traceback:")
	for i, body := range bodies {
		fmt.Fprintf(&b, "\ncoroutine %d:%s", i, body)
	}
	return b.String()
}
