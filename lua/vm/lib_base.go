package vm

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	nextFn   = builtin("next", baseNext, spNext)
	ipairsFn = builtin("ipairs_aux", ipairsAux, spIpairs)
)

var baseLib = func() *Table {
	t := library([]libFunc{
		{"assert", baseAssert}, {"collectgarbage", baseCollect}, {"dofile", baseDofile}, {"error", onlySpecial},
		{"gcinfo", baseGcinfo}, {"getfenv", baseGetfenv}, {"getmetatable", baseGetmetatable}, {"ipairs", baseIpairs},
		{"load", baseLoad}, {"loadfile", baseLoadfile}, {"loadstring", baseLoad}, {"module", baseModule},
		{"newproxy", baseNewproxy}, {"pairs", basePairs}, {"pcall", onlySpecial}, {"print", basePrint},
		{"rawequal", baseRawequal}, {"rawget", baseRawget}, {"rawset", baseRawset}, {"require", baseRequire},
		{"select", baseSelect}, {"setfenv", baseSetfenv}, {"setmetatable", baseSetmetatable}, {"tonumber", baseTonumber},
		{"tostring", onlySpecial}, {"type", baseType}, {"unpack", baseUnpack}, {"xpcall", onlySpecial},
	}, map[string]special{"error": spError, "pcall": spPcall, "xpcall": spXpcall, "tostring": spTostring})
	t.SetStr("next", nextFn)
	t.SetStr("_VERSION", String("Lua 5.1"))
	for _, n := range []string{"_G", "string", "table", "math", "coroutine", "os", "io", "bit", "debug", "jit", "package"} {
		t.SetStr(n, True) // room for the tables of each state
	}
	return t
}()

// callerError raises without naming an argument, at the caller's position.
func (t *Thread) callerError(msg string) { t.Errorf("%s", msg) }

func baseAssert(t *Thread) int {
	if t.CheckAny(1).Truthy() {
		return t.NArgs()
	}
	if t.NArgs() == 1 {
		t.callerError("assertion failed!")
	}
	if s, ok := t.Arg(2).ToStringValue(); ok {
		t.callerError(s)
	}
	t.Raise(t.Arg(2))
	return 0
}

func baseCollect(t *Thread) int {
	switch opt := t.OptString(1, "collect"); opt {
	case "count":
		t.PushNumber(float64(max(t.state.mem, 0)+30000) / 1024)
	case "stop", "restart", "collect":
		t.PushNumber(0)
	case "step":
		t.PushBool(true)
	case "isrunning":
		t.PushBool(true)
	case "setpause", "setstepmul":
		t.PushNumber(200)
	default:
		t.ArgError(1, "invalid option '"+opt+"'")
	}
	return 1
}

func baseGcinfo(t *Thread) int {
	t.PushNumber(float64((max(t.state.mem, 0) + 30000) >> 10))
	return 1
}

// levelFunc is the function at a level of the stack, for getfenv and setfenv.
func (t *Thread) levelFunc(level int) *Function {
	i := t.nf - 1 - level
	if level < 0 || i < 0 {
		t.ArgError(1, "invalid level")
	}
	return t.frames[i].fn
}

func baseGetfenv(t *Thread) int {
	f := t.Arg(1).AsFunction()
	if f == nil {
		level := t.OptInt(1, 1)
		if level == 0 {
			t.Push(t.env.Value())
			return 1
		}
		f = t.levelFunc(level)
	}
	if f.env == nil {
		t.Push(t.env.Value())
	} else {
		t.Push(f.env.Value())
	}
	return 1
}

func baseSetfenv(t *Thread) int {
	env := t.CheckTable(2)
	f := t.Arg(1).AsFunction()
	if f == nil {
		level := t.CheckInt(1)
		if level == 0 {
			t.env = env
			return 0
		}
		f = t.levelFunc(level)
	}
	if f.proto == nil {
		t.callerError("'setfenv' cannot change environment of given object")
	}
	f.env = env
	t.Push(f.Value())
	return 1
}

func baseGetmetatable(t *Thread) int {
	m := t.metatable(t.CheckAny(1))
	if m == nil {
		t.PushNil()
		return 1
	}
	if p := m.event(evMetatable); p.n != tagNil {
		t.Push(p)
	} else {
		t.Push(m.Value())
	}
	return 1
}

func (t *Thread) checkTableOrNil(i int) *Table {
	if i <= t.NArgs() {
		if v := t.Arg(i); v.n == tagTable {
			return v.table()
		} else if v.n == tagNil {
			return nil
		}
	}
	t.ArgError(i, "nil or table expected")
	return nil
}

func baseSetmetatable(t *Thread) int {
	tab := t.CheckTable(1)
	m := t.checkTableOrNil(2)
	if tab.meta.event(evMetatable).n != tagNil {
		t.callerError("cannot change a protected metatable")
	}
	tab.meta = m
	t.Push(t.Arg(1))
	return 1
}

func baseNext(t *Thread) int {
	tab := t.CheckTable(1)
	at := tab.place(t.Arg(2))
	if at < 0 {
		t.Raise(String(errBadNext.Error()))
	}
	next, k, v := tab.nextAt(at)
	ok := next >= 0
	if !ok {
		next = len(tab.arr) + int(tab.used)
	}
	if next-at > 64 { // over cleared entries
		t.work(int64(next-at) >> 2)
	}
	t.Push(k)
	if !ok {
		return 1
	}
	t.Push(v)
	return 2
}

func basePairs(t *Thread) int {
	t.CheckAny(1)
	tab := t.CheckTable(1)
	t.Push(nextFn)
	t.Push(tab.Value())
	t.PushNil()
	return 3
}

func baseIpairs(t *Thread) int {
	t.CheckAny(1)
	tab := t.CheckTable(1)
	t.Push(ipairsFn)
	t.Push(tab.Value())
	t.PushNumber(0)
	return 3
}

func ipairsAux(t *Thread) int {
	tab := t.CheckTable(1)
	i := t.CheckInt(2) + 1
	v := tab.GetInt(i)
	if v.IsNil() {
		return 0
	}
	t.PushNumber(float64(i))
	t.Push(v)
	return 2
}

func (t *Thread) loadChunk(src, name, mode string, env Value) int {
	bad := func(msg string) int {
		t.PushNil()
		t.PushString(msg)
		return 2
	}
	if mode != "" && !strings.Contains(mode, "t") {
		return bad("attempt to load chunk with wrong mode")
	}
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	t.charge(int64(len(src)) * 4)
	t.work(int64(len(src)))
	p, err := Compile(name, src)
	if err != nil {
		return bad(err.Error())
	}
	g := t.env
	if e := env.AsTable(); e != nil {
		g = e
	}
	t.Push(t.state.Load(p, g))
	return 1
}

func baseLoad(t *Thread) int {
	mode := t.OptString(3, "")
	env := t.Arg(4)
	if s, ok := t.Arg(1).ToStringValue(); ok {
		return t.loadChunk(s, t.OptString(2, s), mode, env)
	}
	f := t.CheckFunction(1)
	name := t.OptString(2, "=(load)")
	var b strings.Builder
	for {
		vals, err := t.Call(f)
		v := first(vals)
		if err != nil {
			t.PushNil()
			t.Push(err.(*Error).Value)
			return 2
		}
		if v.IsNil() {
			break
		}
		s, ok := v.ToStringValue()
		if !ok {
			t.PushNil()
			t.PushString("reader function must return a string")
			return 2
		}
		if s == "" {
			break
		}
		t.charge(int64(len(s)))
		b.WriteString(s)
	}
	return t.loadChunk(b.String(), name, mode, env)
}

// readFile reads through Options.ReadFile.
func (s *State) readFile(path string) ([]byte, error) {
	if s.opts.ReadFile == nil {
		return nil, fmt.Errorf("cannot open %s", path)
	}
	return s.opts.ReadFile(path)
}

func baseLoadfile(t *Thread) int {
	name := t.OptString(1, "")
	src, err := t.state.readFile(name)
	if err != nil {
		t.PushNil()
		t.PushString("cannot open " + name)
		return 2
	}
	return t.loadChunk(string(src), "@"+name, t.OptString(2, ""), t.Arg(3))
}

func baseDofile(t *Thread) int {
	name := t.OptString(1, "")
	src, err := t.state.readFile(name)
	if err != nil {
		t.Raise(String("cannot open " + name))
	}
	if t.loadChunk(string(src), "@"+name, "", Nil) == 2 {
		t.Raise(t.stack[t.top-1])
	}
	vals := t.MustCall(t.stack[t.top-1])
	for _, v := range vals {
		t.Push(v)
	}
	return len(vals)
}

func baseNewproxy(t *Thread) int {
	v := t.Arg(1)
	u := NewUserdata(nil, nil)
	switch {
	case !v.Truthy():
	case v.Type() == TypeBoolean:
		u.Meta = NewTable(0, 0)
	default:
		p := v.AsUserdata()
		if p == nil || p.Data != nil || p.Meta == nil {
			t.ArgError(1, "boolean or proxy expected")
		}
		u.Meta = p.Meta
	}
	t.charge(64)
	t.Push(u.Value())
	return 1
}

func basePrint(t *Thread) int {
	n := t.NArgs()
	var out []byte
	tostring := t.env.GetStr("tostring")
	plain := tostring.AsFunction() != nil && tostring.fn().gofn != nil && tostring.fn().gofn.special == spTostring
	for i := 1; i <= n; i++ {
		if i > 1 {
			out = append(out, '\t')
		}
		v := t.Arg(i)
		switch {
		case plain && v.isStr():
			out = append(out, v.str()...)
		case plain && v.isNum():
			out = appendNumber(out, v.float())
		case plain && t.eventOf(v, evTostring).IsNil():
			out = append(out, t.basicString(v)...)
		default:
			s, ok := first(t.MustCall(tostring, v)).ToStringValue()
			if !ok {
				t.callerError("'tostring' must return a string to 'print'")
			}
			out = append(out, s...)
		}
	}
	t.state.write(append(out, '\n'))
	return 0
}

func (s *State) write(b []byte) {
	if s.opts.Stdout != nil {
		s.opts.Stdout.Write(b)
	}
}

func baseRawequal(t *Thread) int {
	a, b := t.CheckAny(1), t.CheckAny(2)
	t.PushBool(RawEqual(a, b))
	return 1
}

func baseRawget(t *Thread) int {
	tab := t.CheckTable(1)
	t.Push(tab.Get(t.CheckAny(2)))
	return 1
}

func baseRawset(t *Thread) int {
	tab := t.CheckTable(1)
	k, v := t.CheckAny(2), t.CheckAny(3)
	before := tab.footprint()
	if err := tab.Set(k, clean(v)); err != nil {
		t.Raise(String(err.Error()))
	}
	t.charge(max(tab.footprint()-before, 0))
	t.Push(tab.Value())
	return 1
}

func baseSelect(t *Thread) int {
	n := t.NArgs()
	v := t.Arg(1)
	if v.isStr() && len(v.str()) > 0 && v.str()[0] == '#' {
		t.PushNumber(float64(n - 1))
		return 1
	}
	i := t.CheckInt(1)
	if i < 0 {
		i += n
	} else if i > n {
		i = n
	}
	if i < 1 {
		t.ArgError(1, "index out of range")
	}
	return n - i
}

func baseTonumber(t *Thread) int {
	base := t.OptInt(2, 10)
	if base == 10 {
		if f, ok := t.CheckAny(1).ToNumber(); ok {
			t.PushNumber(f)
		} else {
			t.PushNil()
		}
		return 1
	}
	s := t.CheckString(1)
	if base < 2 || base > 36 {
		t.ArgError(2, "base out of range")
	}
	s = trimSpace(s)
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' && isHex(s[2]) {
		s = s[2:]
	}
	u, err := strconv.ParseUint(s, base, 64)
	if err != nil && err.(*strconv.NumError).Err != strconv.ErrRange || strings.Contains(s, "_") {
		t.PushNil()
		return 1
	}
	f := float64(u)
	if neg {
		f = -f
	}
	t.PushNumber(f)
	return 1
}

var typeNames = func() (v [9]Value) {
	for i := range v {
		v[i] = String(Type(i).String())
	}
	return
}()

func baseType(t *Thread) int {
	t.Push(typeNames[t.CheckAny(1).Type()])
	return 1
}

const maxUnpack = 8000

func baseUnpack(t *Thread) int {
	tab := t.CheckTable(1)
	i := t.OptInt(2, 1)
	e := 0
	if t.Arg(3).IsNil() {
		e = tab.Len()
	} else {
		e = t.CheckInt(3)
	}
	if i > e {
		return 0
	}
	n := e - i + 1
	if n > maxUnpack || n < 0 {
		t.callerError("too many results to unpack")
	}
	t.ensure(t.top, n)
	for k := i; k <= e; k++ {
		t.Push(tab.GetInt(k))
	}
	t.work(int64(n) >> 2)
	return n
}
