package ngx

import (
	"time"

	"sluice/lua/vm"
)

// run is what shares one budget: a request with its sub-requests, or a timer.
type run struct {
	route    string
	budget   Budget
	deadline time.Time
	instr    int64 // used before the state last switched to this run
	mem      int64
	output   int64
	calls    int
	subs     int
	timers   int
}

// switchRun makes the state count for another run.
func (v *VM) switchRun(to *run) {
	if v.run != nil {
		v.run.instr += v.State.InstructionsUsed()
		v.run.mem += v.State.MemoryUsed()
	}
	v.run = to
	if to == nil {
		v.State.SetBudget(vm.Budget{})
		return
	}
	var b vm.Budget
	if to.budget.Instructions > 0 {
		b.Instructions = max(to.budget.Instructions-to.instr, 1)
	}
	if to.budget.Memory > 0 {
		b.MemoryBytes = max(to.budget.Memory-to.mem, 1)
	}
	b.Deadline = to.deadline
	v.State.SetBudget(b)
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
	u := Used{Instructions: r.run.instr, Memory: r.run.mem, Calls: r.run.calls, Subrequests: r.run.subs}
	if r.vm.run == r.run {
		u.Instructions += r.vm.State.InstructionsUsed()
		u.Memory += r.vm.State.MemoryUsed()
	}
	return u
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
