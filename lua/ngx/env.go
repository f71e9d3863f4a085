package ngx

import (
	"sluice/lua/vm"
)

// fn is the closure of a chunk in this VM.
func (v *VM) fn(c *Chunk) vm.Value {
	if c.ID < len(v.funcs) {
		if f := v.funcs[c.ID]; !f.IsNil() {
			return f
		}
	}
	for c.ID >= len(v.funcs) {
		v.funcs = append(v.funcs, vm.Nil)
	}
	f := v.State.Load(c.Proto, v.Env())
	v.funcs[c.ID] = f
	return f
}

// Env is the table that handler code sees as its globals: what a request
// writes there is gone with it, unless the host shares globals as OpenResty
// does.
func (v *VM) Env() *vm.Table {
	if v.env != nil {
		return v.env
	}
	g := v.State.Globals()
	meta := vm.NewTable(0, 2)
	meta.SetStr("__newindex", vm.NewFunc("__newindex", globalWrite))
	if v.host.SharedGlobals {
		g.SetMetatable(meta)
		v.env = g
		return g
	}
	env := vm.NewTable(0, 4)
	meta.SetStr("__index", g.Value())
	env.SetMetatable(meta)
	env.SetStr("_G", env.Value())
	v.env = env
	return env
}

// cleanEnv takes out what a request wrote.
func (v *VM) cleanEnv() {
	v.dirtyEnv = false
	if v.host.SharedGlobals {
		return
	}
	mt := v.env.Metatable()
	v.env.Clear()
	v.env.SetMetatable(mt)
	v.env.SetStr("_G", v.env.Value())
}

// globalWrite is the assignment of a global that did not exist.
func globalWrite(t *vm.Thread) int {
	v := vmOf(t)
	tb := t.Arg(1).AsTable()
	r := v.cur.req
	if r.phase&(PhaseInit|PhaseInitWorker) == 0 && !t.Arg(3).IsNil() {
		if name, ok := t.Arg(2).AsString(); ok {
			v.warnGlobal(t, r, name)
		}
		v.dirtyEnv = true
	}
	if err := tb.Set(t.Arg(2), t.Arg(3)); err != nil {
		t.Errorf("%s", err.Error())
	}
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
