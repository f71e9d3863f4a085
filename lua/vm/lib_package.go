package vm

import (
	"fmt"
	"strings"
)

var packageLib = func() *Table {
	t := library([]libFunc{
		{"loadlib", func(t *Thread) int {
			t.PushNil()
			t.PushString("dynamic libraries not enabled; check your Lua installation")
			t.PushString("absent")
			return 3
		}},
		{"searchpath", pkgSearchpath}, {"seeall", pkgSeeall},
	}, nil)
	t.SetStr("cpath", String(""))
	t.SetStr("config", String("/\n;\n?\n!\n-\n"))
	for _, n := range []string{"path", "loaded", "loaders", "preload"} {
		t.SetStr(n, True)
	}
	return t
}()

var (
	preloadLoader = NewFunc("preload_loader", pkgPreload)
	luaLoader     = NewFunc("lua_loader", pkgLua)
)

func openPackage(s *State, p *Table) {
	path := s.opts.PackagePath
	if path == "" {
		path = "./?.lua"
	}
	p.SetStr("path", String(path))
	p.SetStr("loaded", s.loaded.Value())
	preload := NewTable(0, 4)
	preload.SetStr("table.new", tableNewOpen)
	preload.SetStr("table.clear", tableClearOpen)
	p.SetStr("preload", preload.Value())
	loaders := NewTable(2, 0)
	loaders.SetInt(1, preloadLoader)
	loaders.SetInt(2, luaLoader)
	p.SetStr("loaders", loaders.Value())
	s.regTable.SetStr("_LOADED", s.loaded.Value())
	s.pkg = p
}

// table.new and table.clear are modules in LuaJIT; requiring them also fills the fields.
func tableField(name string, fn Value) Value {
	return NewFunc("open", func(t *Thread) int {
		t.Push(fn)
		return 1
	})
}

var (
	tableNewOpen   = tableField("new", tableLib.GetStr("new"))
	tableClearOpen = tableField("clear", tableLib.GetStr("clear"))
)

// Preload makes require(name) call open, once.
func (s *State) Preload(name string, open Value) {
	if t := s.pkg.GetStr("preload").AsTable(); t != nil {
		t.SetStr(name, open)
	}
}

func baseRequire(t *Thread) int {
	name := t.CheckString(1)
	loaded := t.state.loaded
	if v := loaded.GetStr(name); v.Truthy() {
		if v.n == tagLight && v.p == sentinel.p {
			t.callerError("loop or previous error loading module '" + name + "'")
		}
		t.Push(v)
		return 1
	}
	loaders := t.state.pkg.GetStr("loaders").AsTable()
	if loaders == nil {
		t.callerError("'package.loaders' must be a table")
	}
	var why strings.Builder
	var loader Value
	for i := 1; ; i++ {
		l := loaders.GetInt(i)
		if l.IsNil() {
			if strings.HasPrefix(name, "ffi") {
				fmt.Fprintf(&why, "\n\tthere is no ffi here")
			}
			t.callerError("module '" + name + "' not found:" + why.String())
		}
		loader = first(t.MustCall(l, String(name)))
		if loader.AsFunction() != nil {
			break
		}
		if s, ok := loader.ToStringValue(); ok {
			why.WriteString(s)
		}
	}
	loaded.SetStr(name, sentinel)
	vals := t.MustCall(loader, String(name)) // an error leaves the sentinel: the next require says so
	if v := first(vals); !v.IsNil() {
		loaded.SetStr(name, v)
	}
	if v := loaded.GetStr(name); v.n == tagLight && v.p == sentinel.p {
		loaded.SetStr(name, True)
	}
	t.Push(loaded.GetStr(name))
	return 1
}

// sentinel stands in package.loaded while a module is being loaded.
var sentinel = Light("loading")

func pkgPreload(t *Thread) int {
	name := t.CheckString(1)
	pre := t.state.pkg.GetStr("preload").AsTable()
	if pre == nil {
		t.callerError("'package.preload' must be a table")
	}
	if v := pre.GetStr(name); !v.IsNil() {
		t.Push(v)
	} else {
		t.PushString("\n\tno field package.preload['" + name + "']")
	}
	return 1
}

// search tries a path's templates; it gives the file's name and text, or what was tried.
func (s *State) search(name, path, sep, dir string) (file string, src []byte, tried string) {
	if sep != "" {
		name = strings.ReplaceAll(name, sep, dir)
	}
	for tmpl := range strings.SplitSeq(path, ";") {
		if tmpl == "" {
			continue
		}
		file = strings.ReplaceAll(tmpl, "?", name)
		if src, err := s.readFile(file); err == nil {
			return file, src, ""
		}
		tried += "\n\tno file '" + file + "'"
	}
	return "", nil, tried
}

func pkgSearchpath(t *Thread) int {
	file, _, tried := t.state.search(t.CheckString(1), t.CheckString(2), t.OptString(3, "."), t.OptString(4, "/"))
	if file == "" || tried != "" {
		t.PushNil()
		t.PushString(tried)
		return 2
	}
	t.PushString(file)
	return 1
}

func pkgLua(t *Thread) int {
	name := t.CheckString(1)
	path, ok := t.state.pkg.GetStr("path").AsString()
	if !ok {
		t.callerError("'package.path' must be a string")
	}
	file, src, tried := t.state.search(name, path, ".", "/")
	if tried != "" || file == "" {
		t.PushString(tried)
		return 1
	}
	if t.loadChunk(string(src), "@"+file, "", Nil) == 2 {
		msg, _ := t.stack[t.top-1].AsString()
		t.callerError("error loading module '" + name + "' from file '" + file + "':\n\t" + msg)
	}
	return 1
}

func pkgSeeall(t *Thread) int {
	m := t.CheckTable(1)
	if m.meta == nil {
		m.meta = NewTable(0, 1)
	}
	m.meta.SetStr("__index", t.env.Value())
	return 0
}

func baseModule(t *Thread) int {
	name := t.CheckString(1)
	m := t.state.loaded.GetStr(name).AsTable()
	if m == nil {
		m = t.env
		parts := strings.Split(name, ".")
		for _, part := range parts {
			v := m.GetStr(part)
			if v.IsNil() {
				v = NewTable(0, 4).Value()
				m.SetStr(part, v)
			}
			if m = v.AsTable(); m == nil {
				t.callerError("name conflict for module '" + name + "'")
			}
		}
		t.state.loaded.SetStr(name, m.Value())
	}
	if m.GetStr("_NAME").IsNil() {
		m.SetStr("_M", m.Value())
		m.SetStr("_NAME", String(name))
		m.SetStr("_PACKAGE", String(name[:strings.LastIndexByte(name, '.')+1]))
	}
	if i := t.frameAt(1); i >= 0 && t.frames[i].fn.proto != nil {
		t.frames[i].fn.env = m
	} else {
		t.callerError("'module' not called from a Lua function")
	}
	for i := 2; i <= t.NArgs(); i++ {
		if f := t.Arg(i); f.AsFunction() != nil {
			t.MustCall(f, m.Value())
		}
	}
	return 0
}
