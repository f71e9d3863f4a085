package ngx

import (
	"errors"
	"sync/atomic"
	"time"

	"sluice/lua/vm"
)

// timerCount counts the timers of a runtime.
type timerCount struct{ pending, running atomic.Int64 }

// Timers counts pending and running timers of all VMs.
func (h *Host) TimerCount() (pending, running int) {
	return int(h.timers.pending.Load()), int(h.timers.running.Load())
}

func timerAt(t *vm.Thread) int    { return timerAdd(t, false) }
func timerEvery(t *vm.Thread) int { return timerAdd(t, true) }

func timerAdd(t *vm.Thread, every bool) int {
	if t.NArgs() < 2 {
		t.Errorf("expecting at least 2 arguments but got %d", t.NArgs())
	}
	sec := t.CheckNumber(1)
	if sec < 0 || sec != sec {
		t.ArgError(1, "delay must be greater than or equal to 0")
	}
	if every && seconds(sec) < time.Millisecond {
		t.ArgError(1, "delay cannot be zero")
	}
	fn := t.CheckFunction(2)
	v := vmOf(t)
	r := v.cur.req
	if r.phase == PhaseInit {
		t.Errorf("no request found")
	}
	h := v.host
	select {
	case <-h.Retired:
		return pushFail(t, "process exiting")
	default:
	}
	if r.run != nil {
		r.run.timers++
		if over(r.run.timers, r.run.budget.Timers) {
			breach(t, "timers")
		}
	}
	if int(h.timers.pending.Load()) >= h.MaxTimers {
		return pushFail(t, "too many pending timers")
	}
	args := make([]vm.Value, 0, t.NArgs()-1)
	for i := 3; i <= t.NArgs(); i++ {
		args = append(args, t.Arg(i))
	}
	rn := run{route: "timer", budget: h.TimerBudget}
	if r.run != nil {
		rn.route = r.run.route
	}
	h.timers.pending.Add(1)
	v.timers++
	go v.timer(fn, args, seconds(sec), every, rn, r.loc)
	t.Push(vmOne)
	return 1
}

// timer is the goroutine of one timer. It joins the VM as a task with a
// request of its own; the VM lives until its last timer has ended.
func (v *VM) timer(fn vm.Value, args []vm.Value, d time.Duration, every bool, rn run, loc *Location) {
	h := v.host
	for {
		tm := time.NewTimer(d)
		premature := false
		select {
		case <-tm.C:
		case <-h.Retired:
			tm.Stop()
			premature = true
		}
		again := every && !premature
		if !again {
			h.timers.pending.Add(-1)
		}
		if int(h.timers.running.Load()) >= h.MaxRunning {
			h.log(nil, LevelAlert, "lua failed to run timer with function defined at "+v.definedAt(fn)+": "+itoa(h.MaxRunning)+" lua_max_running_timers are not enough")
		} else {
			h.timers.running.Add(1)
			v.fire(fn, args, premature, rn, loc)
			h.timers.running.Add(-1)
		}
		if !again {
			break
		}
	}
	tk := newTask(v, nil)
	v.acquire(tk)
	v.timers--
	last := v.timers == 0
	v.cur = &v.initTask
	v.release()
	if last && v.Released != nil {
		v.Released()
	}
}

func (v *VM) fire(fn vm.Value, args []vm.Value, premature bool, rn run, loc *Location) {
	if rn.budget.Wall > 0 {
		rn.deadline = v.host.Now().Add(rn.budget.Wall)
	}
	r := &Request{vm: v, run: &rn, phase: PhaseTimer, loc: loc, start: v.host.Now(), clen: -1}
	tk := newTask(v, r)
	v.acquire(tk)
	r.entry = tk
	th := v.State.NewThread(fn)
	tk.thread = th
	th.SetData(tk)
	in := append([]vm.Value{vm.Bool(premature)}, args...)
	var err error
	for {
		var yielded bool
		_, yielded, err = th.Resume(in...)
		if !yielded || err != nil {
			break
		}
		in = nil
		v.relax(tk)
	}
	if err == nil {
		r.drain()
	}
	r.killLights()
	if r.ended != nil {
		err = r.ended
	}
	var be *vm.BudgetError
	switch {
	case err == nil, errors.Is(err, errSignal), errors.Is(err, errKilled):
	case errors.As(err, &be):
		r.breached(be)
	default:
		r.report(err, "lua entry thread aborted: runtime error: ")
	}
	r.runEndFuncs()
	v.run = nil
	v.cur = &v.initTask
	v.release()
}

func timerRunning(t *vm.Thread) int {
	t.PushNumber(float64(vmOf(t).host.timers.running.Load()))
	return 1
}

func timerPending(t *vm.Thread) int {
	t.PushNumber(float64(vmOf(t).host.timers.pending.Load()))
	return 1
}

// definedAt tells where a function stands: "source:line".
func (v *VM) definedAt(fn vm.Value) string {
	tk := newTask(v, nil)
	v.acquire(tk)
	defer func() {
		v.cur = &v.initTask
		v.release()
	}()
	d := v.State.Globals().GetStr("debug").AsTable()
	if d == nil {
		return "?"
	}
	v.cur = &v.initTask
	res, _, err := v.State.NewThread(d.GetStr("getinfo")).Resume(fn, vm.String("S"))
	if err != nil || len(res) == 0 || res[0].AsTable() == nil {
		return "?"
	}
	src, _ := res[0].AsTable().GetStr("source").ToStringValue()
	line, _ := res[0].AsTable().GetStr("linedefined").ToStringValue()
	return src + ":" + line
}
