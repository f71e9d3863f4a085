package ngx

import (
	"errors"

	"sluice/lua/vm"
)

// light is the state of a light thread (ngx.thread.spawn).
type light struct {
	parent  *task
	creator *vm.Thread // the coroutine in which parent spawned it
	done    bool
	waited  bool
	ok      bool
	vals    []vm.Value
	waiters []*task
}

// lightBytes is what the goroutine and the task of a light thread weigh, about.
const lightBytes = 8 << 10

// siblings counts the light threads that a wait of the current task could see
// ending the request.
func (r *Request) siblings() int { return len(r.lights) }

// luaFunction is argument i, a function; in OpenResty one of C is none.
func luaFunction(t *vm.Thread, i int) vm.Value {
	v := t.Arg(i)
	if v.Type() != vm.TypeFunction {
		t.ArgError(i, "Lua function expected")
	}
	return v
}

func threadSpawn(t *vm.Thread) int {
	r := need(t, phasesWait)
	fn := luaFunction(t, 1)
	v := r.vm
	parent := v.cur
	args := make([]vm.Value, 0, max(t.NArgs()-1, 0))
	for i := 2; i <= t.NArgs(); i++ {
		args = append(args, t.Arg(i))
	}
	v.State.Charge(t, lightBytes)
	th := v.State.NewThread(fn)
	child := newTask(v, r)
	child.thread = th
	child.light = &light{parent: parent, creator: t}
	th.SetData(child)
	r.lights = append(r.lights, child)

	v.mu.Lock()
	v.ready = append(v.ready, parent)
	v.mu.Unlock()
	go child.runLight(args) // takes over the lock that this goroutine holds
	<-parent.wake
	v.enter(parent)
	parent.check(t)
	t.Push(th.Value())
	return 1
}

// runLight is the goroutine of a light thread. It starts as the lock's holder.
func (tk *task) runLight(args []vm.Value) {
	v := tk.vm
	v.enter(tk)
	var vals []vm.Value
	var err error
	for {
		var yielded bool
		vals, yielded, err = tk.thread.Resume(args...)
		if !yielded || err != nil {
			break
		}
		args = nil
		v.relax(tk)
		if tk.killed != nil {
			err = tk.killed
			break
		}
	}
	tk.finish(vals, err)
	v.release()
}

func (tk *task) finish(vals []vm.Value, err error) {
	v, r := tk.vm, tk.req
	tk.done = true
	if tk.killed != nil {
		// Ended from outside: whoever did it has cleaned up already.
		return
	}
	r.dropLight(tk)
	var le *vm.Error
	switch {
	case err == nil:
		tk.ok, tk.vals = true, vals
	case errors.As(err, &le):
		// OpenResty hands out the dead thread's stack: what error was given, then the message.
		if s, ok := le.Given.ToStringValue(); ok && s != errorText(le) {
			tk.vals = append(tk.vals, le.Given)
		}
		tk.vals = append(tk.vals, le.Value)
		if r.ended == nil && r.main != nil {
			v.host.log(r, LevelErr, "lua user thread aborted: runtime error: "+errorText(le)+"\n"+v.wholeTrace(le))
		}
	default:
		// exit, exec, redirect or a breach: the request ends.
		r.endBy(err)
		return
	}
	for _, w := range tk.waiters {
		v.post(w)
	}
	if len(r.lights) == 0 && r.entryWaits {
		v.post(r.entry)
	}
}

func (r *Request) dropLight(tk *task) {
	for i, l := range r.lights {
		if l == tk {
			r.lights = append(r.lights[:i], r.lights[i+1:]...)
			return
		}
	}
}

// endBy ends the request from one of its light threads: all the others, and
// the entry, are killed.
func (r *Request) endBy(reason error) {
	if r.ended == nil {
		r.ended = reason
	}
	r.killLights()
	if r.entry != nil && r.entry != r.vm.cur {
		r.vm.kill(r.entry, errKilled)
	}
}

func (r *Request) killLights() {
	ls := r.lights
	r.lights = nil
	for _, l := range ls {
		if l != r.vm.cur {
			r.vm.kill(l, errKilled)
		}
	}
}

// drain lets the light threads that the entry left behind finish.
func (r *Request) drain() {
	v := r.vm
	tk := v.cur
	for len(r.lights) > 0 && r.ended == nil {
		r.entryWaits = true
		v.prepark(tk)
		v.park(tk)
		r.entryWaits = false
		if tk.killed != nil {
			break
		}
	}
}

func lightOf(t *vm.Thread, i int) *task {
	th := t.Arg(i).AsThread()
	if th == nil {
		t.ArgError(i, "lua thread expected")
	}
	tk, _ := th.Data().(*task)
	return tk
}

func threadWait(t *vm.Thread) int {
	r := need(t, phasesWait)
	v := r.vm
	tk := v.cur
	n := t.NArgs()
	if n == 0 {
		t.Errorf("at least one coroutine should be specified")
	}
	for {
		for i := 1; i <= n; i++ {
			l := lightOf(t, i)
			if l == nil || l.light == nil {
				t.Errorf("attempt to wait on a coroutine that is not a user thread")
			}
			if l.parent != tk || l.creator != t {
				t.Errorf("only the parent coroutine can wait on the thread")
			}
			if l.done {
				if l.waited {
					t.PushNil()
					t.PushString("already waited or killed")
					return 2
				}
				l.waited = true
				t.PushBool(l.ok)
				for _, x := range l.vals {
					t.Push(x)
				}
				return 1 + len(l.vals)
			}
		}
		for i := 1; i <= n; i++ {
			l := lightOf(t, i)
			l.waiters = append(l.waiters, tk)
		}
		v.prepark(tk)
		v.park(tk)
		for i := 1; i <= n; i++ {
			lightOf(t, i).unwait(tk)
		}
		tk.check(t)
	}
}

func (l *light) unwait(tk *task) {
	for i, w := range l.waiters {
		if w == tk {
			l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
			return
		}
	}
}

func threadKill(t *vm.Thread) int {
	r := need(t, phasesWait)
	l := lightOf(t, 1)
	fail := func(msg string) int {
		t.PushNil()
		t.PushString(msg)
		return 2
	}
	switch {
	case l == nil || l.light == nil:
		return fail("not user thread")
	case l.parent != r.vm.cur:
		return fail("killer not parent")
	case l.waited || l.killed != nil:
		return fail("already waited or killed")
	case l.done:
		l.waited = true
		return fail("already terminated")
	case l.subs > 0:
		return fail("pending subrequests")
	}
	r.dropLight(l)
	l.waited = true
	r.vm.kill(l, errKilled)
	t.Push(vm.Int(1))
	return 1
}
