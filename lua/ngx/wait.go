package ngx

import (
	"math"
	"time"

	"sluice/lua/vm"
)

// pause parks the current task until d has passed or somebody posts it. It
// reports whether the time ran out.
func (v *VM) pause(t *vm.Thread, d time.Duration) (timedOut bool) {
	tk := v.cur
	park := v.prepark(tk)
	dl := tk.req.Deadline()
	if !dl.IsZero() {
		if left := dl.Sub(v.host.Now()); left < d {
			d = max(left, 0)
		}
	}
	tm := time.AfterFunc(d, func() { v.postPark(tk, park, true) })
	v.park(tk)
	tm.Stop()
	timedOut = tk.expired
	if t != nil {
		tk.check(t)
		if !dl.IsZero() && !v.host.Now().Before(dl) {
			breach(t, "wall time")
		}
	}
	return timedOut
}

func apiSleep(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 {
		t.Errorf("attempt to pass %d arguments, but accepted 1", n)
	}
	sec := t.CheckNumber(1)
	r := need(t, phasesWait)
	if sec < 0 || sec != sec {
		t.Errorf("invalid sleep duration \"%d\"", int64(sec*1000))
	}
	d := seconds(sec).Truncate(time.Millisecond)
	r.vm.host.debug(r, "lua ready to sleep for "+d.String())
	if d == 0 {
		r.vm.relax(r.vm.cur)
		r.vm.cur.check(t)
	} else {
		r.vm.pause(t, d)
	}
	if r.main != nil {
		r.vm.host.debug(r, "lua sleep timer expired: \""+r.URI()+"?"+r.Args()+"\"")
	}
	return 0
}

func seconds(s float64) time.Duration {
	if s > 1e9 {
		s = 1e9
	}
	return time.Duration(math.Round(s * float64(time.Second)))
}

// semaphore is an ngx.semaphore: its waiters queue in order.
type semaphore struct {
	count   int
	waiters []*task
}

// semaphoreModule is require "ngx.semaphore".
func semaphoreModule(v *VM) vm.Value {
	meta := vm.NewTable(0, 1)
	methods := vm.NewTable(0, 4)
	meta.SetStr("__index", methods.Value())
	self := func(t *vm.Thread) *semaphore {
		if tb := t.Arg(1).AsTable(); tb != nil {
			if u := tb.GetStr("sem").AsUserdata(); u != nil {
				if s, ok := u.Data.(*semaphore); ok {
					return s
				}
			}
		}
		t.Errorf("not a semaphore instance")
		return nil
	}
	methods.SetStr("wait", vm.NewFunc("wait", func(t *vm.Thread) int {
		s := self(t)
		r := need(t, phasesWait)
		f, ok := t.Arg(2).ToNumber()
		if !ok {
			t.Errorf("bad argument #2 to 'wait' (number expected, got %s)", typeName(t, 2))
		}
		if f < 0 {
			t.Errorf("no negative number")
		}
		if s.count > 0 && len(s.waiters) == 0 {
			s.count--
			t.PushBool(true)
			return 1
		}
		if seconds(f) < time.Millisecond {
			return pushFail(t, "timeout")
		}
		tk := r.vm.cur
		s.waiters = append(s.waiters, tk)
		defer s.forget(tk) // also when the light thread is killed
		tk.granted = false
		r.vm.pause(t, seconds(f))
		// Who waited gets two values, and false where it would be nil otherwise.
		t.PushBool(tk.granted)
		if tk.granted {
			t.PushNil()
		} else {
			t.PushString("timeout")
		}
		return 2
	}))
	methods.SetStr("post", vm.NewFunc("post", func(t *vm.Thread) int {
		s := self(t)
		n := 1
		if !t.Arg(2).IsNil() {
			f, ok := t.Arg(2).ToNumber()
			if !ok || f < 1 || f > 1<<30 {
				t.Errorf("positive number required")
			}
			n = int(f)
		}
		s.count += n
		for s.count > 0 && len(s.waiters) > 0 {
			w := s.waiters[0]
			s.waiters = s.waiters[1:]
			s.count--
			w.granted = true
			w.vm.post(w)
		}
		t.PushBool(true)
		return 1
	}))
	methods.SetStr("count", vm.NewFunc("count", func(t *vm.Thread) int {
		s := self(t)
		t.Push(vm.Int(s.count - len(s.waiters)))
		return 1
	}))
	mod := vm.NewTable(0, 3)
	mod.SetStr("version", vm.String("0.1.25"))
	mod.SetStr("new", vm.NewFunc("new", func(t *vm.Thread) int {
		n := 0
		if !t.Arg(1).IsNil() {
			f, ok := t.Arg(1).ToNumber()
			if !ok {
				t.Errorf("bad argument #1 to 'new' (number expected, got %s)", typeName(t, 1))
			}
			if f < 0 {
				t.Errorf("no negative number")
			}
			n = int(f)
		}
		o := vm.NewTable(0, 1)
		o.SetStr("sem", vm.NewUserdata(&semaphore{count: n}, nil).Value())
		o.SetMetatable(meta)
		t.Push(o.Value())
		return 1
	}))
	return mod.Value()
}

func (s *semaphore) forget(tk *task) {
	for i, w := range s.waiters {
		if w == tk {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return
		}
	}
}

func typeName(t *vm.Thread, i int) string {
	if i > t.NArgs() {
		return "no value"
	}
	return t.Arg(i).Type().String()
}
