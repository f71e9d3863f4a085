package ngx

import (
	"sluice/lua/vm"
)

// fn is the closure of a chunk with the request's globals.
func (r *Request) fn(c *Chunk) vm.Value {
	s := r.main.seat
	for c.ID >= len(s.funcs) {
		s.funcs = append(s.funcs, vm.Nil)
	}
	if f := s.funcs[c.ID].AsFunction(); f != nil && f.Env() == s.env { // setfenv may have changed it
		return s.funcs[c.ID]
	}
	f := s.vm.State.Load(c.Proto, s.env)
	s.funcs[c.ID] = f
	return f
}

// Guard ends the making of a VM: from now on, names are not added to its
// globals, but to those of the request that writes them, and are gone with it,
// unless the host shares globals as OpenResty does.
func (v *VM) Guard() {
	g := v.State.Globals()
	v.envMeta = vm.NewTable(0, 2)
	v.envMeta.SetStr("__newindex", vm.NewFunc("__newindex", globalWrite))
	if v.host.SharedGlobals {
		g.SetMetatable(v.envMeta)
		v.shared = g
		return
	}
	v.envMeta.SetStr("__index", g.Value())
}

// newEnv makes the globals of a seat.
func (v *VM) newEnv() *vm.Table {
	if v.shared != nil {
		return v.shared
	}
	env := vm.NewTable(0, 1)
	env.SetMetatable(v.envMeta)
	env.SetStr("_G", env.Value())
	return env
}

// cleanEnv gives the seat new globals when the request wrote some, or left
// behind code that may yet write some.
func (s *Seat) cleanEnv() {
	v, e := s.vm, s.env
	if v.shared != nil || s.run.timers == 0 && e.Size() == 1 && e.Metatable() == v.envMeta && e.GetStr("_G").AsTable() == e {
		return
	}
	s.env = v.newEnv()
	clear(s.funcs)
	s.thread = s.newThread()
}

// globalWrite is the assignment of a global that did not exist.
func globalWrite(t *vm.Thread) int {
	v := vmOf(t)
	tb := t.CheckTable(1)
	r := v.cur.req
	if r.phase&(PhaseInit|PhaseInitWorker) == 0 && !t.Arg(3).IsNil() {
		if name, ok := t.Arg(2).AsString(); ok {
			v.warnGlobal(t, r, name)
		}
	}
	t.RawSet(tb, t.Arg(2), t.Arg(3))
	return 0
}

func (v *VM) warnGlobal(t *vm.Thread, r *Request, name string) {
	where := t.Where(1)
	key := where + name
	if v.host.SharedGlobals {
		v.host.log(r, LevelWarn, "[lua] _G write guard:12: __newindex(): writing a global Lua variable ('"+name+"') which may lead to race conditions "+
			"between concurrent requests, so prefer the use of 'local' variables\nstack traceback:"+traceBody(t.Traceback("")))
		return
	}
	if !v.host.firstWarning(key) {
		return
	}
	v.host.log(r, LevelWarn, where+"writing a global Lua variable ('"+name+"'): it is gone when the request ends; use 'local'")
}

// maxWarnings bounds what is remembered: names can be made up without end.
const maxWarnings = 1000

func (h *Host) firstWarning(key string) bool {
	if _, seen := h.warned.Load(key); seen || h.warnings.Load() >= maxWarnings {
		return false
	}
	_, seen := h.warned.LoadOrStore(key, true)
	if !seen {
		h.warnings.Add(1)
	}
	return !seen
}

// RunInit runs a chunk outside any request, as init_by_lua does. A chunk with
// a negative ID is run once and forgotten.
func (v *VM) RunInit(c *Chunk, p Phase) error {
	tk := &v.initTask
	v.acquire(tk)
	old := v.idle.phase
	v.idle.phase = p
	_, err := v.State.Call(v.State.Load(c.Proto, v.State.Globals()))
	v.idle.phase = old
	v.release()
	return err
}

// CanBlock reports whether the current phase may wait for something.
func (r *Request) CanBlock() bool { return r.phase&phasesWait != 0 }
