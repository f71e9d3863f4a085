package ngx

import (
	"time"

	"sluice/lua/vm"
)

// run is what shares one budget: a request with its sub-requests, or a timer.
type run struct {
	serial   uint64 // tells it from others of its VM
	route    string
	budget   Budget
	deadline time.Time
	meter    vm.Meter
	before   Used // what a breach has taken off the meter
	graces   int  // how often it got a new one
	hog      bool // it has been interrupted for others
	output   int64
	granted  int64 // of the host's memory
	kin      *kin  // of the timers it makes; of a timer's run, its own
	calls    int
	subs     int
	timers   int
}

// start begins to count.
func (rn *run) start(now time.Time) {
	if rn.budget.Wall > 0 {
		rn.deadline = now.Add(rn.budget.Wall)
	}
	rn.rewind()
}

func (rn *run) rewind() {
	rn.meter = vm.NewMeter(vm.Budget{Instructions: max(rn.budget.Instructions, 0), MemoryBytes: max(rn.budget.Memory, 0),
		FreeBytes: freeMemory, Deadline: rn.deadline})
}

// switchRun makes the state count for another run.
func (v *VM) switchRun(to *run) {
	if v.run != nil {
		v.State.SaveMeter(&v.run.meter)
	}
	v.run = to
	if to == nil {
		v.State.SetBudget(vm.Budget{})
		return
	}
	v.State.LoadMeter(&to.meter)
}

func (v *VM) newSerial() uint64 {
	v.serial++
	return v.serial
}

const maxGraces = 8

// lastWords is the time for what still has to run after a breach.
const lastWords = time.Second

// grace gives a run that went over its budget a new one, for the filters and
// the log phase of its answer; not without end, or what makes sub-requests
// whose filters fail would never be through.
func (v *VM) grace(rn *run) {
	if rn.graces++; rn.graces > maxGraces {
		return
	}
	counting := v.run == rn
	if counting {
		v.switchRun(nil)
	}
	rn.before.Instructions += rn.meter.Instructions()
	rn.before.Memory += rn.meter.Memory()
	if rn.budget.Wall > 0 {
		rn.deadline = v.host.Now().Add(min(rn.budget.Wall, lastWords))
	}
	rn.rewind()
	if counting {
		v.switchRun(rn)
	}
}

// Used tells what a request has used so far.
type Used struct {
	Instructions int64
	Memory       int64
	Calls        int
	Subrequests  int
}

// Used tells what the run has used so far.
func (r *Request) Used() Used {
	if r.run == nil {
		return Used{}
	}
	if r.vm.run == r.run {
		r.vm.State.SaveMeter(&r.run.meter)
	}
	return r.used()
}

func (r *Request) used() Used {
	m, b := &r.run.meter, &r.run.before
	return Used{Instructions: b.Instructions + m.Instructions(), Memory: b.Memory + m.Memory(), Calls: r.run.calls, Subrequests: r.run.subs}
}

// Deadline is when the run must be done; zero means never.
func (r *Request) Deadline() time.Time {
	if r.run == nil {
		return time.Time{}
	}
	return r.run.deadline
}

func over(used, limit int) bool { return limit > 0 && used > limit }

// breach ends the run.
func breach(t *vm.Thread, kind string) {
	t.Abort(&vm.BudgetError{Kind: kind, Where: t.Where(1), Traceback: t.Traceback("")})
}

// CountCall counts a call to a backend; when the budget is used up it ends
// the run.
func (r *Request) CountCall(t *vm.Thread) {
	if r.run == nil {
		return
	}
	r.run.calls++
	if over(r.run.calls, r.run.budget.Calls) {
		breach(t, "calls")
	}
}
