package vm

import "strings"

var debugLib = library([]libFunc{
	{"debug", debugRefuse}, {"getfenv", debugGetfenv}, {"gethook", debugGethook}, {"getinfo", debugGetinfo},
	{"getlocal", debugGetlocal}, {"getmetatable", debugGetmetatable}, {"getregistry", debugGetregistry},
	{"getupvalue", debugGetupvalue}, {"setfenv", debugSetfenv}, {"sethook", debugSethook}, {"setlocal", debugSetlocal},
	{"setmetatable", debugSetmetatable}, {"setupvalue", debugSetupvalue}, {"traceback", debugTraceback},
	{"upvalueid", debugUpvalueid}, {"upvaluejoin", debugUpvaluejoin},
}, nil)

func debugRefuse(t *Thread) int {
	t.Errorf("debug.debug is not offered")
	return 0
}

func debugSethook(t *Thread) int {
	if t.Arg(1).IsNil() {
		return 0
	}
	t.Errorf("debug.sethook is not offered")
	return 0
}

func debugGethook(t *Thread) int {
	t.PushNil()
	t.PushString("")
	t.PushNumber(0)
	return 3
}

func debugGetregistry(t *Thread) int {
	t.Push(t.state.regTable.Value())
	return 1
}

func debugGetmetatable(t *Thread) int {
	if m := t.metatable(t.CheckAny(1)); m != nil {
		t.Push(m.Value())
	} else {
		t.PushNil()
	}
	return 1
}

func debugSetmetatable(t *Thread) int {
	m := t.checkTableOrNil(2)
	v := t.Arg(1)
	switch v.Type() {
	case TypeTable:
		v.table().meta = m
	case TypeUserdata:
		v.ud().Meta = m
	case TypeString:
		t.state.strMeta = m
	}
	t.PushBool(true)
	return 1
}

func debugGetfenv(t *Thread) int {
	v := t.CheckAny(1)
	switch {
	case v.AsFunction() != nil && v.fn().env != nil:
		t.Push(v.fn().env.Value())
	case v.AsFunction() != nil:
		t.Push(t.state.globals.Value())
	case v.AsThread() != nil:
		t.Push(v.thread().env.Value())
	default:
		t.PushNil()
	}
	return 1
}

func debugSetfenv(t *Thread) int {
	env := t.CheckTable(2)
	v := t.Arg(1)
	switch {
	case v.AsFunction() != nil && v.fn().proto != nil:
		v.fn().env = env
	case v.AsThread() != nil:
		v.thread().env = env
	default:
		t.callerError("'setfenv' cannot change environment of given object")
	}
	t.Push(v)
	return 1
}

// threadArg is an optional first argument that is a coroutine.
func (t *Thread) threadArg() (co *Thread, shift int) {
	if co = t.Arg(1).AsThread(); co != nil {
		return co, 1
	}
	return t, 0
}

// frameAt is the frame at a level of co's stack, or -1.
func (t *Thread) frameAt(level int) int {
	if i := t.nf - 1 - level; level >= 0 && i >= 0 {
		return i
	}
	return -1
}

func debugGetinfo(t *Thread) int {
	co, a := t.threadArg()
	opts := t.OptString(a+2, "flnSu")
	var fn *Function
	at := -1
	v := t.Arg(a + 1)
	if f, ok := v.ToNumber(); ok {
		if at = co.frameAt(toInt(f)); at < 0 {
			t.PushNil()
			return 1
		}
		fn = co.frames[at].fn
	} else if fn = v.AsFunction(); fn == nil {
		t.ArgError(a+1, "function or level expected")
	}
	if strings.Trim(opts, "flnSuL") != "" || strings.HasPrefix(opts, ">") {
		t.ArgError(a+2, "invalid option")
	}
	r := NewTable(0, 16)
	p := fn.proto
	if strings.Contains(opts, "S") {
		if p == nil {
			r.SetStr("source", String("=[C]"))
			r.SetStr("short_src", String("[C]"))
			r.SetStr("linedefined", Int(-1))
			r.SetStr("lastlinedefined", Int(-1))
			r.SetStr("what", String("C"))
		} else {
			r.SetStr("source", String(p.source))
			r.SetStr("short_src", String(p.short))
			r.SetStr("linedefined", Int(p.line))
			r.SetStr("lastlinedefined", Int(p.lastLine))
			what := "Lua"
			if p.line == 0 {
				what = "main"
			}
			r.SetStr("what", String(what))
		}
	}
	if strings.Contains(opts, "l") {
		line := -1
		if at >= 0 && p != nil {
			line = co.frames[at].line()
		}
		r.SetStr("currentline", Int(line))
	}
	if strings.Contains(opts, "u") {
		nparams, vararg := 0, true
		if p != nil {
			nparams, vararg = p.nparams, p.vararg
		}
		r.SetStr("nups", Int(len(fn.up)))
		r.SetStr("nparams", Int(nparams))
		r.SetStr("isvararg", Bool(vararg))
	}
	if strings.Contains(opts, "n") {
		kind, name := "", ""
		if at >= 0 {
			kind, name = co.funcName(at)
		}
		if kind != "" {
			r.SetStr("name", String(name))
		}
		r.SetStr("namewhat", String(kind))
	}
	if strings.Contains(opts, "L") && p != nil {
		lines := NewTable(0, 8)
		for _, l := range p.lines[:len(p.lines)-1] {
			lines.SetInt(int(l), True)
		}
		r.SetStr("activelines", lines.Value())
	}
	if strings.Contains(opts, "f") {
		r.SetStr("func", fn.Value())
	}
	t.charge(tableBytes + r.footprint())
	t.Push(r.Value())
	return 1
}

// local finds the n-th local of a frame: its name and stack index.
func (t *Thread) local(at, n int) (string, int) {
	f := &t.frames[at]
	p := f.fn.proto
	if n < 0 {
		if p != nil && p.vararg {
			nvar := int(f.nvar) - p.nparams
			if -n <= nvar {
				return "(*vararg)", int(f.base) - nvar - n - 1
			}
		}
		return "", 0
	}
	end := t.top
	if at+1 < t.nf {
		end = int(t.frames[at+1].base) - 1
	} else if p != nil {
		end = int(f.base) + p.frameSize
	}
	if p != nil {
		if name := p.nthLocal(int(f.pc)-1, n); name != "" {
			return name, int(f.base) + n - 1
		}
	}
	if i := int(f.base) + n - 1; n > 0 && i < end {
		return "(*temporary)", i
	}
	return "", 0
}

// nthLocal is the name of the n-th local active at pc.
func (p *Proto) nthLocal(pc, n int) string {
	for i := range p.vars {
		if v := &p.vars[i]; v.start <= pc && pc < v.end {
			if n--; n == 0 {
				if v.name == "" {
					return "(*temporary)"
				}
				return v.name
			}
		}
	}
	return ""
}

func debugGetlocal(t *Thread) int {
	co, a := t.threadArg()
	n := t.CheckInt(a + 2)
	if f := t.Arg(a + 1).AsFunction(); f != nil {
		name := ""
		if f.proto != nil && n > 0 && n <= f.proto.nparams {
			name = f.proto.nthLocal(0, n)
		}
		if name == "" {
			t.PushNil()
		} else {
			t.PushString(name)
		}
		return 1
	}
	at := co.frameAt(t.CheckInt(a + 1))
	if at < 0 {
		t.ArgError(a+1, "level out of range")
	}
	name, i := co.local(at, n)
	if name == "" {
		t.PushNil()
		return 1
	}
	t.PushString(name)
	t.Push(co.stack[i])
	return 2
}

func debugSetlocal(t *Thread) int {
	co, a := t.threadArg()
	at := co.frameAt(t.CheckInt(a + 1))
	if at < 0 {
		t.ArgError(a+1, "level out of range")
	}
	v := t.CheckAny(a + 3)
	name, i := co.local(at, t.CheckInt(a+2))
	// Hidden variables of loops stay what they are.
	if name == "" || name[0] == '(' {
		t.PushNil()
		return 1
	}
	co.stack[i] = v
	t.PushString(name)
	return 1
}

func (t *Thread) upvalueArg() (*Function, int, string) {
	n := t.CheckInt(2)
	f := t.CheckFunction(1).fn()
	if n < 1 || n > len(f.up) || f.proto == nil {
		return f, -1, ""
	}
	return f, n - 1, f.proto.upvals[n-1].name
}

func debugGetupvalue(t *Thread) int {
	f, n, name := t.upvalueArg()
	if n < 0 {
		return 0
	}
	t.PushString(name)
	t.Push(*f.up[n].v)
	return 2
}

func debugSetupvalue(t *Thread) int {
	v := t.CheckAny(3)
	f, n, name := t.upvalueArg()
	if n < 0 {
		return 0
	}
	*f.up[n].v = v
	t.PushString(name)
	return 1
}

func (t *Thread) upvalueAt(i int) (*Function, int) {
	f := t.CheckFunction(i).fn()
	n := t.CheckInt(i + 1)
	if n < 1 || n > len(f.up) || f.proto == nil {
		t.ArgError(i+1, "index out of range")
	}
	return f, n - 1
}

func debugUpvalueid(t *Thread) int {
	f, n := t.upvalueAt(1)
	t.Push(Value{p: ptrOf(f.up[n]), n: tagLight})
	return 1
}

func debugUpvaluejoin(t *Thread) int {
	f1, n1 := t.upvalueAt(1)
	f2, n2 := t.upvalueAt(3)
	f1.up[n1] = f2.up[n2]
	return 0
}

func debugTraceback(t *Thread) int {
	co, a := t.threadArg()
	v := t.Arg(a + 1)
	msg, isStr := v.ToStringValue()
	if !isStr && a+1 <= t.NArgs() && !v.IsNil() {
		t.Push(v)
		return 1
	}
	if !isStr && a+1 <= t.NArgs() {
		t.Push(v)
		return 1
	}
	level := 0
	if co == t {
		level = 1
	}
	s := co.traceback(msg, isStr, t.OptInt(a+2, level))
	t.chargeString(len(s))
	t.Push(String(s))
	return 1
}
