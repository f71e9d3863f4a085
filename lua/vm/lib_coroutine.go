package vm

var coroutineLib = library([]libFunc{
	{"create", coCreate}, {"isyieldable", coIsyieldable}, {"resume", onlySpecial}, {"running", coRunning},
	{"status", coStatus}, {"wrap", coWrap}, {"yield", onlySpecial},
}, map[string]special{"resume": spResume, "yield": spYield})

func (t *Thread) newCoroutine() *Thread {
	f := t.CheckFunction(1)
	co := newThread(t.state, t.env)
	co.stack[0] = f
	co.top = 1
	t.charge(threadBytes)
	return co
}

func coCreate(t *Thread) int {
	t.Push(t.newCoroutine().Value())
	return 1
}

func coWrap(t *Thread) int {
	co := t.newCoroutine()
	u := &upval{closed: co.Value()}
	u.v = &u.closed
	t.Push((&Function{gofn: wrapInfo, up: []*upval{u}}).Value())
	return 1
}

var wrapInfo = &goInfo{fn: onlySpecial, name: "wrap", special: spWrap}

func coStatus(t *Thread) int {
	co := t.Arg(1).AsThread()
	if co == nil {
		t.ArgError(1, "coroutine expected")
	}
	t.PushString(co.Status())
	return 1
}

func coRunning(t *Thread) int {
	if t == t.state.main {
		t.PushNil()
	} else {
		t.Push(t.Value())
	}
	return 1
}

func coIsyieldable(t *Thread) int {
	t.PushBool(t.nested == 0 && t.nf > 0 && t.frames[0].cont == contCo)
	return 1
}
