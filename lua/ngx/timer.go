package ngx

import (
	"errors"
	"time"

	"sluice/lua/vm"
)

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
		t.Errorf("delay cannot be zero")
	}
	fn := luaFunction(t, 2)
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
	rn := run{route: "timer", budget: h.TimerBudget, kin: kinOf(r.run)}
	by := uint64(0)
	if r.run != nil {
		rn.route, by = r.run.route, r.run.serial
	}
	h.timers.add(h, &timer{vm: v, fn: fn, args: args, every: every, delay: seconds(sec), run: rn, by: by, loc: r.loc, from: r.from()})
	t.Push(vmOne)
	return 1
}

// fire runs a timer once. Its goroutine joins the VM as a task with a request
// of its own; the VM is alive, if not in the pool, as long as a timer
// refers to it.
func (tm *timer) fire(tk *task) {
	v, r := tm.vm, tk.req
	r.run.serial = v.newSerial()
	v.enter(tk)
	r.entry = tk
	v.host.debug(r, "lua ngx.timer expired")
	th := v.State.NewThread(tm.fn)
	tk.thread = th
	th.SetData(tk)
	in := append([]vm.Value{vm.Bool(tm.premature)}, tm.args...)
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
		r.run.kin.breached(time.Now(), v.host.Now().Sub(r.start))
	default:
		r.report(err, "lua entry thread aborted: runtime error: ")
	}
	r.runEndFuncs()
	v.host.debug(r, "http lua close fake http connection")
	v.host.timers.running.Add(-1)
	v.forgive(r.run, true)
	tm.leave()
}

// leave gives the VM's lock up.
func (tm *timer) leave() {
	v := tm.vm
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

// definedAt tells where a function stands: "source:line". The caller holds the
// VM's lock.
func (v *VM) definedAt(fn vm.Value) string {
	d := v.State.Globals().GetStr("debug").AsTable()
	if d == nil {
		return "?"
	}
	res, _, err := v.State.NewThread(d.GetStr("getinfo")).Resume(fn, vm.String("S"))
	if err != nil || len(res) == 0 || res[0].AsTable() == nil {
		return "?"
	}
	src, _ := res[0].AsTable().GetStr("source").ToStringValue()
	line, _ := res[0].AsTable().GetStr("linedefined").ToStringValue()
	return src + ":" + line
}
