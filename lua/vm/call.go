package vm

import (
	"runtime/debug"
)

// An activation is one entry from Go: it runs Lua code on cur, and on the coroutines
// which that resumes, until the frame it began with returns.
type activation struct {
	cur     *Thread
	state   *State
	err     error
	yielded bool
	from, n int // results of a coroutine resumed from Go
}

// outcome of an action on the frames.
type outcome uint8

const (
	goOn   outcome = iota // cur's top frame is a Lua function to run
	exit                  // the activation is over
	failed                // state.errVal is an error to handle
)

// signal is what Go functions panic with; the value is in the thread.
type signal struct{ _ byte }

var luaSignal = &signal{}

// Raise raises any value as an error; it never returns.
func (t *Thread) Raise(v Value) {
	if v.isStr() && len(v.str()) >= chargedString {
		t.charge(int64(len(v.str())))
	}
	t.errVal = v
	panic(luaSignal)
}

// abort carries the reason through panics.
type abort struct{ reason error }

// Abort ends everything up to the call from the runtime, which gets reason; no pcall catches it.
func (t *Thread) Abort(reason error) { panic(&abort{reason}) }

// entry says what an activation does first.
type entry uint8

const (
	entryCall    entry = iota // call the function at x with n arguments
	entryDeliver              // give n values at x to the suspended top frame
	entryRun                  // go on in the top frame
)

// start begins as told and runs until the frame it began with is done.
func (a *activation) start(how entry, x, n int, c cont) error {
	t := a.cur
	if a.enter(how, x, n, c) {
		return nil
	}
	for a.err == nil {
		switch a.handleProtected() {
		case goOn:
			if a.enter(entryRun, 0, 0, c) {
				return nil
			}
		case exit:
			return nil
		}
	}
	if _, ok := a.err.(*Error); !ok {
		a.abandon(t)
	}
	return a.err
}

// abandon kills what an abort passed through.
func (a *activation) abandon(entry *Thread) {
	for t := a.cur; t != nil && t != entry; {
		r := t.resumer
		t.status, t.resumer = statusDead, nil
		t.closeUpvals(0)
		t.nf = 0
		t = r
	}
	a.cur = entry
	for entry.nf > 0 {
		f := &entry.frames[entry.nf-1]
		entry.nf--
		entry.closeUpvals(int(f.base) - 1)
		if f.cont == contGo || f.cont == contMust || f.cont == contCo {
			break
		}
	}
	entry.status = statusRunning
}

// enter runs the machine and turns a panic into an error to handle.
func (a *activation) enter(how entry, x, n int, c cont) (done bool) {
	defer func() {
		if !done {
			if r := recover(); r != nil {
				a.caught(r)
			}
		}
	}()
	o := goOn
	switch how {
	case entryCall:
		o = a.precall(x, n, x, -1, c)
	case entryDeliver:
		o = a.finish(x, n)
	}
	if o == goOn {
		o = a.execute()
	}
	return o == exit
}

// caught sorts a panic: an error of Lua, an abort, or a defect.
func (a *activation) caught(r any) {
	switch r := r.(type) {
	case *signal:
	case *abort:
		a.err = r.reason
	default:
		a.state.dirty = true
		a.err = &PanicError{Value: r, Stack: debug.Stack()}
	}
}

func (a *activation) handleProtected() (o outcome) {
	o = failed
	defer func() {
		if o == failed && a.err == nil {
			if r := recover(); r != nil {
				a.caught(r)
			}
		}
	}()
	return a.handle()
}

// handle finds who catches cur.errVal and gives it to them.
func (a *activation) handle() outcome {
	t := a.cur
	v := t.errVal
	if !t.handledErr {
		v = t.runHandler(v)
	}
	t.handledErr = false
	for {
		caught := false
		for i := t.nf - 1; i >= 0 && !caught; i-- {
			f := &t.frames[i]
			switch f.cont {
			case contPcall:
				t.closeUpvals(int(f.base) - 1)
				t.nf = i
				t.overflown = false
				p := &t.frames[i-1]
				from := int(p.base)
				t.stack[from], t.stack[from+1] = False, v
				return a.finish(from, 2)
			case contGo, contMust:
				e := &Error{Value: v}
				if f.cont == contGo {
					e.Traceback = t.Traceback("")
				}
				a.err = e
				t.overflown = false
				t.closeUpvals(int(f.base) - 1)
				t.nf = i
				return failed
			case contCo:
				caught = true
			}
		}
		r := t.resumer
		t.status, t.resumer = statusDead, nil
		t.overflown = false
		t.closeUpvals(0)
		if r == nil {
			e := &Error{Value: v, Traceback: t.Traceback("")}
			if f := &t.frames[t.nf-1]; f.fn.gofn != nil && f.fn.gofn.special == spError {
				e.Given = t.stack[f.base]
			}
			a.err = e
			return failed
		}
		t = r
		a.cur = t
		t.status = statusRunning
		f := &t.frames[t.nf-1]
		if f.fn.gofn.special == spResume {
			from := int(f.base)
			t.stack[from], t.stack[from+1] = False, v
			return a.finish(from, 2)
		}
		if v.isStr() {
			t.charge(int64(len(v.str())))
			v = String(t.Where(1) + v.str())
		}
		v = t.runHandler(v)
	}
}

// runHandler calls the handler of an xpcall that will catch v, on top of the frames that failed.
func (t *Thread) runHandler(v Value) Value {
	for i := t.nf - 1; i > 0; i-- {
		switch t.frames[i].cont {
		case contGo, contCo:
			return v
		case contPcall:
			f := &t.frames[i-1]
			if f.fn.gofn.special != spXpcall {
				return v
			}
			return t.callHandler(t.stack[f.base], v)
		}
	}
	return v
}

func (t *Thread) callHandler(h, v Value) Value {
	// There must be room to call it, or the error of that would come here again.
	if t.inHandler || t.goDepth >= maxNested || t.freeTop()+2*slack > maxStack+extraStack {
		return String("error in error handling")
	}
	t.inHandler, t.overflown = true, true
	defer func() { t.inHandler = false }()
	vals, err := t.call(h, []Value{v}, contMust)
	if err != nil {
		if e, ok := err.(*Error); ok {
			return e.Value
		}
		panic(&abort{err})
	}
	return first(vals)
}

// call runs fn on t from Go.
func (t *Thread) call(fn Value, args []Value, c cont) ([]Value, error) {
	base, top := t.base, t.top
	fidx, err := t.run(fn, args, c)
	t.base = base
	if err != nil {
		t.top = top
		return nil, err
	}
	var vals []Value
	if n := t.top - fidx; n > 0 {
		vals = make([]Value, n)
		copy(vals, t.stack[fidx:t.top])
	}
	t.top = top
	return vals, nil
}

// run is call with the results left on the stack, from fidx up to top.
func (t *Thread) run(fn Value, args []Value, c cont) (fidx int, err error) {
	if t.goDepth >= maxNested {
		t.raiseAt("C stack overflow")
	}
	nf := t.nf
	fidx = t.freeTop()
	t.ensure(fidx, len(args)+1)
	t.stack[fidx] = fn
	copy(t.stack[fidx+1:], args)
	t.top = fidx + 1 + len(args)
	t.goDepth++
	t.nested++
	a := activation{cur: t, state: t.state}
	err = a.start(entryCall, fidx, len(args), c)
	t.goDepth--
	t.nested--
	if err != nil {
		t.nf = min(t.nf, nf)
	}
	return fidx, err
}

// call1 is MustCall for one result, without garbage.
func (t *Thread) call1(fn Value, args []Value) Value {
	base, top := t.base, t.top
	fidx, err := t.run(fn, args, contMust)
	t.base = base
	if err != nil {
		t.top = top
		t.passOn(err)
	}
	v := Nil
	if t.top > fidx {
		v = t.stack[fidx]
	}
	t.top = top
	return v
}

func (t *Thread) callBool(fn Value, args []Value) bool { return t.call1(fn, args).Truthy() }

// passOn raises again what ended a call.
func (t *Thread) passOn(err error) {
	e, ok := err.(*Error)
	if !ok {
		panic(&abort{err})
	}
	t.handledErr = true
	t.Raise(e.Value)
}

// CallRaw runs fn protected; budget breaches and reasons of Abort come back as errors too.
func (t *Thread) CallRaw(fn Value, args ...Value) ([]Value, error) {
	return t.call(fn, args, contGo)
}

// Call runs fn protected; the error is *Error. A budget breach or Abort passes through.
func (t *Thread) Call(fn Value, args ...Value) ([]Value, error) {
	vals, err := t.call(fn, args, contGo)
	if err != nil {
		if _, ok := err.(*Error); !ok {
			panic(&abort{err})
		}
	}
	return vals, err
}

// MustCall runs fn unprotected: an error goes on to the pcall around the caller.
func (t *Thread) MustCall(fn Value, args ...Value) []Value {
	vals, err := t.call(fn, args, contMust)
	if err != nil {
		t.passOn(err)
	}
	return vals
}

// Resume starts or goes on with t from Go, on the calling goroutine. yielded tells a yield
// from an end; err is *Error or what Abort was given.
func (t *Thread) Resume(args ...Value) (vals []Value, yielded bool, err error) {
	return t.ResumeFrom(nil, args...)
}

// ResumeFrom is Resume inside a Go function that runs on parent: calls nested too deeply are refused.
func (t *Thread) ResumeFrom(parent *Thread, args ...Value) (vals []Value, yielded bool, err error) {
	switch {
	case t.status == statusDead:
		return nil, false, &Error{Value: String("cannot resume dead coroutine")}
	case t.status != statusSuspended:
		return nil, false, &Error{Value: String("cannot resume running coroutine")}
	}
	if parent != nil {
		if parent.goDepth >= maxNested {
			return nil, false, &Error{Value: String("C stack overflow")}
		}
		t.goDepth = parent.goDepth + 1
		t.parent = parent
		parent.status = statusNormal
		defer func() { parent.status = statusRunning }()
	}
	a := activation{cur: t, state: t.state}
	t.status = statusRunning
	how, at := entryDeliver, t.top
	if t.nf == 0 {
		how, at = entryCall, 0
		t.ensure(1, len(args))
		copy(t.stack[1:], args)
	} else {
		t.ensure(at, len(args))
		copy(t.stack[at:], args)
	}
	if err = a.start(how, at, len(args), contCo); err != nil {
		t.status = statusDead
		return nil, false, err
	}
	vals = make([]Value, a.n)
	copy(vals, t.stack[a.from:a.from+a.n])
	return vals, a.yielded, nil
}

// enterLua pushes the frame of a Lua function whose arguments stand above fidx.
func (t *Thread) enterLua(fn *Function, fidx, nargs, ret, nret int, c cont) {
	p := fn.proto
	base := fidx + 1
	passed := 0
	if p.vararg {
		base += nargs
		passed = nargs
		t.ensure(base, p.frameSize)
		for i := range p.nparams {
			if i < nargs {
				t.stack[base+i] = t.stack[fidx+1+i]
			} else {
				t.stack[base+i] = Nil
			}
		}
	} else {
		t.ensure(base, p.frameSize)
		for i := nargs; i < p.nparams; i++ {
			t.stack[base+i] = Nil
		}
	}
	f := t.pushFrame()
	*f = frame{fn: fn, base: int32(base), ret: int32(ret), nret: int32(nret), nvar: int32(passed), cont: c}
}

// precall calls the value at fidx with the nargs above it.
func (a *activation) precall(fidx, nargs, ret, nret int, c cont) outcome {
	t := a.cur
	for {
		v := t.stack[fidx]
		if v.n != tagFunc {
			mm := t.eventOf(v, evCall)
			if mm.n != tagFunc {
				t.callError(v, fidx)
			}
			t.ensure(fidx+nargs+2, 0)
			copy(t.stack[fidx+1:fidx+nargs+2], t.stack[fidx:fidx+nargs+1])
			t.stack[fidx] = mm
			nargs++
			continue
		}
		fn := v.fn()
		if fn.proto != nil {
			t.enterLua(fn, fidx, nargs, ret, nret, c)
			return goOn
		}
		t.ensure(fidx+1+nargs, 0)
		f := t.pushFrame()
		*f = frame{fn: fn, base: int32(fidx + 1), ret: int32(ret), nret: int32(nret), cont: c}
		t.base, t.top = fidx+1, fidx+1+nargs
		if sp := fn.gofn.special; sp != spNone && sp < spStop {
			return a.special(sp, nargs)
		}
		n := fn.gofn.fn(t)
		return a.finish(t.top-n, n)
	}
}

// finish returns n values at from out of cur's top frame, and on through the frames
// below that only pass them on.
func (a *activation) finish(from, n int) outcome {
	for {
		t := a.cur
		t.nf--
		f := &t.frames[t.nf]
		switch f.cont {
		case contLua:
			t.settle(from, n, int(f.ret), int(f.nret))
			return goOn
		case contGo, contMust:
			t.settle(from, n, int(f.ret), -1)
			return exit
		case contPcall:
			from--
			n++
			t.stack[from] = True
		case contCo:
			t.status = statusDead
			r := t.resumer
			t.resumer = nil
			if r == nil {
				a.from, a.n, a.yielded = from, n, false
				return exit
			}
			t.closeUpvals(0)
			from, n = a.deliver(r, t.stack[from:from+n])
		case contCmp, contCmpNot:
			res := n > 0 && t.stack[from].Truthy()
			if f.cont == contCmpNot {
				res = !res
			}
			lf := &t.frames[t.nf-1]
			i := lf.fn.proto.code[lf.pc-1]
			if res != (i.op()&1 == 1) {
				lf.pc += int32(i.j())
			}
			return goOn
		case contConcat:
			reached := int(f.ret)
			t.settle(from, n, reached, 1)
			return a.concat(reached)
		case contIter:
			t.settle(from, n, int(f.ret), int(f.nret))
			lf := &t.frames[t.nf-1]
			if v := t.stack[f.ret]; v.n != tagNil {
				t.stack[f.ret-2] = v
				lf.pc += int32(lf.fn.proto.code[lf.pc-1].j())
			}
			return goOn
		}
	}
}

// settle moves n results to where the caller wants them; want -1 takes all and sets top.
func (t *Thread) settle(from, n, to, want int) {
	if want < 0 {
		copy(t.stack[to:to+n], t.stack[from:from+n])
		t.top = to + n
		return
	}
	k := min(n, want)
	copy(t.stack[to:to+k], t.stack[from:from+k])
	for ; k < want; k++ {
		t.stack[to+k] = Nil
	}
}

// deliver makes r current and gives it the values of the coroutine it resumed.
func (a *activation) deliver(r *Thread, vals []Value) (from, n int) {
	a.cur = r
	r.status = statusRunning
	f := &r.frames[r.nf-1]
	from = int(f.base)
	n = len(vals)
	r.ensure(from, n+1)
	if f.fn.gofn.special == spResume {
		r.stack[from] = True
		n++
		copy(r.stack[from+1:], vals)
	} else {
		copy(r.stack[from:], vals)
	}
	return from, n
}

// special runs a builtin that acts on the frames; its own frame is on top.
func (a *activation) special(sp special, nargs int) outcome {
	t := a.cur
	base := t.base
	switch sp {
	case spPcall, spXpcall:
		callee := base
		if sp == spXpcall {
			t.CheckAny(1)
			if t.Arg(2).n != tagFunc {
				t.TypeError(2, "function")
			}
			t.stack[base], t.stack[base+1] = t.stack[base+1], t.stack[base]
			callee++
			nargs--
		} else if nargs == 0 {
			t.ArgError(1, "value expected")
		}
		if v := t.stack[callee]; v.n != tagFunc && t.eventOf(v, evCall).n != tagFunc {
			msg := String("attempt to call a " + v.Type().String() + " value")
			if sp == spXpcall {
				msg = t.callHandler(t.stack[base], msg)
			}
			t.stack[base], t.stack[base+1] = False, msg
			return a.finish(base, 2)
		}
		return a.precall(callee, nargs-1, callee, -1, contPcall)
	case spError:
		v := t.Arg(1)
		if level := t.OptInt(2, 1); level > 0 {
			if s, ok := v.ToStringValue(); ok {
				v = String(t.Where(level) + s)
				t.charge(int64(len(s)))
			}
		}
		t.errVal = v
		return failed
	case spTostring:
		v := t.CheckAny(1)
		mm := t.eventOf(v, evTostring)
		if mm.n == tagNil {
			t.stack[base] = String(t.basicString(v))
			return a.finish(base, 1)
		}
		t.nf--
		f := t.frames[t.nf]
		t.stack[base-1] = mm
		return a.precall(base-1, 1, int(f.ret), int(f.nret), f.cont)
	case spResume:
		co := t.Arg(1).AsThread()
		if co == nil {
			t.ArgError(1, "coroutine expected")
		}
		return a.resume(co, base+1, nargs-1)
	case spWrap:
		return a.resume(t.frames[t.nf-1].fn.up[0].closed.thread(), base, nargs)
	default:
		return a.yield(base, nargs)
	}
}

func (a *activation) resume(co *Thread, from, n int) outcome {
	t := a.cur
	msg := ""
	switch {
	case co.status == statusDead:
		msg = "cannot resume dead coroutine"
	case co.status == statusNormal && t.state.opts.NormalCoroutines:
		msg = "cannot resume normal coroutine"
	case co.status != statusSuspended:
		msg = "cannot resume running coroutine"
	case t.depth >= maxResumes:
		msg = "C stack overflow"
	}
	if msg != "" {
		f := &t.frames[t.nf-1]
		if f.fn.gofn.special == spWrap {
			t.Errorf("%s", msg)
		}
		t.stack[f.base], t.stack[f.base+1] = False, String(msg)
		return a.finish(int(f.base), 2)
	}
	t.status, co.status = statusNormal, statusRunning
	co.resumer, co.depth, co.goDepth = t, t.depth+1, t.goDepth
	a.cur = co
	vals := t.stack[from : from+n]
	if co.nf == 0 {
		co.ensure(1, n)
		copy(co.stack[1:], vals)
		return a.precall(0, n, 0, -1, contCo)
	}
	co.ensure(co.top, n)
	copy(co.stack[co.top:], vals)
	return a.finish(co.top, n)
}

// yield suspends cur; its frame stays until the resume.
func (a *activation) yield(from, n int) outcome {
	t := a.cur
	if t.nested > 0 || t.frames[0].cont != contCo {
		t.Errorf("attempt to yield across C-call boundary")
	}
	t.status = statusSuspended
	t.top = from + n
	r := t.resumer
	t.resumer = nil
	if r == nil {
		a.from, a.n, a.yielded = from, n, true
		return exit
	}
	from, n = a.deliver(r, t.stack[from:from+n])
	return a.finish(from, n)
}
