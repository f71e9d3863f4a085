package vm

// libFunc is an entry of a library table. Its function value is made once and shared by all states.
type libFunc struct {
	name string
	fn   GoFunc
}

// library builds a table that states copy.
func library(funcs []libFunc, specials map[string]special) *Table {
	t := NewTable(0, len(funcs)+2)
	for _, f := range funcs {
		t.SetStr(f.name, builtin(f.name, f.fn, specials[f.name]))
	}
	return t
}

func builtin(name string, fn GoFunc, sp special) Value {
	return (&Function{gofn: &goInfo{fn: fn, name: name, special: sp, padNil: inLua[name]}}).Value()
}

// inLua are the functions that LuaJIT has written in Lua.
var inLua = map[string]bool{"deg": true, "foreach": true, "foreachi": true, "getn": true, "len": true,
	"move": true, "rad": true, "remove": true}

// onlySpecial is the GoFunc of builtins that the machine runs itself.
func onlySpecial(*Thread) int { panic("builtin of the machine called from outside") }

// openLibs gives a state its own copies of the library tables.
func openLibs(s *State) {
	g := baseLib.clone()
	s.globals = g
	s.main.env = g
	s.loaded = NewTable(0, 16)
	s.regTable = NewTable(0, 4)
	add := func(name string, lib *Table) *Table {
		c := lib.clone()
		g.SetStr(name, c.Value())
		s.loaded.SetStr(name, c.Value())
		return c
	}
	g.SetStr("_G", g.Value())
	s.loaded.SetStr("_G", g.Value())
	str := add("string", stringLib)
	add("table", tableLib)
	add("math", mathLib)
	add("coroutine", coroutineLib)
	add("os", osLib)
	openIO(add("io", ioLib))
	add("bit", bitLib)
	add("debug", debugLib)
	add("jit", jitLib)
	openPackage(s, add("package", packageLib))
	s.strMeta = NewTable(0, 1)
	s.strMeta.SetStr("__index", str.Value())
}
