package vm

var ioLib = func() *Table {
	fs := []libFunc{{"read", ioRead}, {"type", ioType}, {"write", ioWrite}}
	for _, name := range []string{"close", "flush", "input", "lines", "open", "output", "popen", "tmpfile"} {
		fs = append(fs, libFunc{name, func(t *Thread) int {
			if name == "flush" {
				t.PushBool(true)
				return 1
			}
			t.Errorf("io.%s is not allowed here", name)
			return 0
		}})
	}
	t := library(fs, nil)
	t.SetStr("stdout", True) // room for the files of each state
	t.SetStr("stderr", True)
	return t
}()

var fileLib = func() *Table {
	t := library([]libFunc{{"write", fileWrite}, {"flush", fileSelf}, {"setvbuf", fileSelf}, {"close", fileSelf}}, nil)
	t.SetStr("__tostring", NewFunc("tostring", func(t *Thread) int {
		t.PushString("file (standard)")
		return 1
	}))
	t.SetStr("__index", True)
	return t
}()

// openIO gives a state files of its own: scripts may change their metatable.
func openIO(io *Table) {
	meta := fileLib.clone()
	meta.SetStr("__index", meta.Value())
	for _, name := range []string{"stdout", "stderr"} {
		io.SetStr(name, NewUserdata(name, meta).Value())
	}
}

func (t *Thread) writeArgs(from int) {
	for i := from; i <= t.NArgs(); i++ {
		v := t.Arg(i)
		switch {
		case v.isStr():
			t.state.write([]byte(v.str()))
		case v.isNum():
			t.state.write(appendNumber(nil, v.float()))
		default:
			t.TypeError(i, "string")
		}
	}
}

func ioWrite(t *Thread) int {
	t.writeArgs(1)
	t.Push(t.state.globals.GetStr("io"))
	return 1
}

func fileWrite(t *Thread) int {
	u := t.Arg(1).AsUserdata()
	if u == nil {
		t.TypeError(1, "FILE*")
	}
	if u.Data == "stdout" {
		t.writeArgs(2)
	}
	t.Push(t.Arg(1))
	return 1
}

func fileSelf(t *Thread) int {
	t.Push(t.Arg(1))
	return 1
}

func ioRead(t *Thread) int {
	t.PushNil()
	return 1
}

func ioType(t *Thread) int {
	t.CheckAny(1)
	if u := t.Arg(1).AsUserdata(); u != nil && (u.Data == "stdout" || u.Data == "stderr") {
		t.PushString("file")
	} else {
		t.PushNil()
	}
	return 1
}
