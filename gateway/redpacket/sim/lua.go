package sim

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Protos compiles each script text once for all machines.
type Protos struct{ m sync.Map }

func (p *Protos) get(text string) (*lua.FunctionProto, error) {
	if v, ok := p.m.Load(text); ok {
		return v.(*lua.FunctionProto), nil
	}
	chunk, err := parse.Parse(strings.NewReader(text), "script")
	if err != nil {
		return nil, err
	}
	proto, err := lua.Compile(chunk, "script")
	if err != nil {
		return nil, err
	}
	p.m.Store(text, proto)
	return proto, nil
}

// machine runs scripts as Redis does: KEYS, ARGV, redis.call.
type machine struct {
	state  *lua.LState
	protos *Protos
	on     *store
	args   []string
}

func newMachine(p *Protos) *machine {
	m := &machine{protos: p, state: lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 4096})}
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		m.state.Push(m.state.NewFunction(open))
		m.state.Call(0, 0)
	}
	r := m.state.NewTable()
	m.state.SetField(r, "call", m.state.NewFunction(m.call))
	m.state.SetField(r, "error_reply", m.state.NewFunction(func(l *lua.LState) int {
		t := l.NewTable()
		t.RawSetString("err", lua.LString(l.CheckString(1)))
		l.Push(t)
		return 1
	}))
	m.state.SetField(r, "sha1hex", m.state.NewFunction(func(l *lua.LState) int {
		sum := sha1.Sum([]byte(l.CheckString(1)))
		l.Push(lua.LString(hex.EncodeToString(sum[:])))
		return 1
	}))
	m.state.SetGlobal("redis", r)
	return m
}

func (m *machine) call(l *lua.LState) int {
	m.args = m.args[:0]
	for i := 1; i <= l.GetTop(); i++ {
		m.args = append(m.args, lua.LVAsString(l.Get(i)))
	}
	reply := m.on.do(m.args...)
	if e, ok := reply.(errReply); ok {
		l.RaiseError("%s", string(e))
	}
	l.Push(m.toLua(reply))
	return 1
}

func (m *machine) toLua(v any) lua.LValue {
	switch v := v.(type) {
	case nil:
		return lua.LFalse
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case []any:
		t := m.state.CreateTable(len(v), 0)
		for i, x := range v {
			t.RawSetInt(i+1, m.toLua(x))
		}
		return t
	}
	return lua.LNil
}

func fromLua(v lua.LValue) any {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case lua.LBool:
		if v {
			return int64(1)
		}
		return nil
	case *lua.LTable:
		if e, ok := v.RawGetString("err").(lua.LString); ok {
			return errReply(e)
		}
		out := []any{}
		for i := 1; ; i++ {
			x := v.RawGetInt(i)
			if x == lua.LNil {
				return out
			}
			out = append(out, fromLua(x))
		}
	}
	return nil
}

func (m *machine) run(on *store, text string, keys, args []string) any {
	proto, err := m.protos.get(text)
	if err != nil {
		return errReply("ERR " + err.Error())
	}
	m.on = on
	list := func(s []string) *lua.LTable {
		t := m.state.CreateTable(len(s), 0)
		for i, x := range s {
			t.RawSetInt(i+1, lua.LString(x))
		}
		return t
	}
	m.state.SetGlobal("KEYS", list(keys))
	m.state.SetGlobal("ARGV", list(args))
	m.state.Push(m.state.NewFunctionFromProto(proto))
	if err := m.state.PCall(0, 1, nil); err != nil {
		m.state.SetTop(0)
		text := err.Error()
		if e, ok := err.(*lua.ApiError); ok && e.Object != nil {
			text = e.Object.String()
		}
		return errReply("ERR " + text)
	}
	v := m.state.Get(-1)
	m.state.SetTop(0)
	return fromLua(v)
}
