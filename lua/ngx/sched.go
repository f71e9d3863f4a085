package ngx

import (
	"errors"
	"runtime"
	"sync"

	"sluice/lua/vm"
)

// VM is one Lua universe, shared by many requests. One goroutine at a time
// runs in it: whoever holds its lock. Light threads and timers are goroutines
// that hand the lock to each other in the order in which they became ready, as
// nginx posts its threads.
//
// Lock order: VM.mu is a leaf; nothing is called while it is held.
type VM struct {
	State *vm.State
	host  *Host

	mu     sync.Mutex
	busy   bool
	ready  []*task // not empty while nobody is busy: the first that was woken takes the lock
	later  []*task // those that begin a sub-request: they go on when nobody is ready
	passed int     // how often they were passed over
	free   []*Seat // the last one used on top: its memory is warm
	seated int     // requests that have a seat
	hogs   int     // runs among them that took more than a turn
	spent  bool    // no new requests: a breach or a panic ended something here
	turns  uint    // how often the lock has changed hands
	watch  watch

	// What follows belongs to the holder of the VM lock.
	cur      *task
	run      *run    // whose budget the state is counting
	serial   uint64  // of the latest run
	grown    int64   // charged by the runs since Held was last asked
	gated    bool    // who has the lock has a place at the host's gate
	looks    int     // of the run that has the lock, since it took it
	idle     Request // what init code and nobody sees
	initTask task
	shared   *vm.Table // globals of all handlers, when the host shares them
	envMeta  *vm.Table // of the globals of each request
	Dirty    bool      // a breach ended something here
	hdrMeta  *vm.Table
	subMeta  *vm.Table
	scratch  []byte
	inner    innerTrace // of the last error that a wrapped coroutine handed on
}

// task is a flow of control in a VM: the entry of a request, a light thread, a
// timer.
type task struct {
	vm     *VM
	req    *Request
	wake   chan struct{}
	seat   *Seat      // of the entry of a request from outside
	thread *vm.Thread // nil for entries on the seat's own

	soft    bool   // woken to take the lock, not with it in hand. Guarded by vm.mu
	waiting bool   // parked; whoever posts it clears this. Guarded by vm.mu
	park    uint64 // counts the parks. Guarded by vm.mu
	killed  error  // set by the lock's holder
	expired bool   // a pause ran out. Guarded by vm.mu, and by the park
	granted bool   // a semaphore gave what was waited for
	child   *task  // the sub-request this task waits in
	subs    int    // sub-requests this task waits for

	*light // for light threads
}

var errKilled = errors.New("light thread killed")

// acquire takes the lock. Whoever runs may take it before a task that was woken
// for it: handing it over would leave it idle until the Go scheduler gets
// there. Who lost it three times has it handed over.
func (v *VM) acquire(tk *task) {
	v.mu.Lock()
	for lost := 0; v.busy; lost++ {
		tk.soft = lost < 3
		v.ready = append(v.ready, tk)
		v.mu.Unlock()
		<-tk.wake
		if lost == 3 {
			v.enter(tk)
			return
		}
		v.mu.Lock()
	}
	v.take()
	v.mu.Unlock()
	v.enter(tk)
}

// take makes whoever calls it the holder of the lock. The caller has mu.
func (v *VM) take() {
	v.busy = true
	v.turns++
	v.watch.begin(v)
}

// enter makes tk the current task of the lock that its goroutine has got.
func (v *VM) enter(tk *task) {
	v.cur = tk
	v.looks = 0
	if tk.req != nil && tk.killed == nil && v.run != tk.req.run {
		v.switchRun(tk.req.run)
	}
}

// maxPassed is how many tasks go on before one that begins a sub-request.
const maxPassed = 64

func (v *VM) release() {
	if v.gated {
		v.gated = false
		<-v.host.Gate
	}
	v.mu.Lock()
	queue := &v.ready
	if len(v.later) > 0 {
		// Other requests may keep the VM busy for ever.
		if v.passed++; len(v.ready) == 0 || v.passed > maxPassed {
			queue, v.passed = &v.later, 0
		}
	}
	if q := *queue; len(q) > 0 {
		next := q[0]
		n := copy(q, q[1:])
		q[n] = nil
		*queue = q[:n]
		v.turns++
		if next.soft {
			next.soft, v.busy = false, false
		}
		v.mu.Unlock()
		next.wake <- struct{}{}
		return
	}
	v.busy = false
	v.mu.Unlock()
}

// post makes a parked task ready. It may be called from any goroutine; only
// the first call for a park counts.
func (v *VM) post(tk *task) {
	v.mu.Lock()
	v.postLocked(tk)
}

// postPark is post for something that began with one park and may come too
// late for it: the task may be parked again, for something else.
func (v *VM) postPark(tk *task, park uint64, expired bool) {
	v.mu.Lock()
	if tk.park != park || !tk.waiting {
		v.mu.Unlock()
		return
	}
	tk.expired = expired
	v.postLocked(tk)
}

// postLocked unlocks mu.
func (v *VM) postLocked(tk *task) {
	if !tk.waiting {
		v.mu.Unlock()
		return
	}
	tk.waiting = false
	if v.busy || len(v.ready) > 0 { // who was woken for the lock comes first
		v.ready = append(v.ready, tk)
		v.mu.Unlock()
		return
	}
	v.take()
	v.mu.Unlock()
	tk.wake <- struct{}{}
}

// prepark says that the current task is about to park, before whoever will
// post it can know of it.
func (v *VM) prepark(tk *task) (park uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	tk.waiting = true
	tk.expired = false
	tk.park++
	return tk.park
}

// park gives up the lock until somebody posts the task.
func (v *VM) park(tk *task) {
	v.release()
	<-tk.wake
	v.enter(tk)
}

// relax lets every task that is ready now run before the current one goes on.
func (v *VM) relax(tk *task) {
	v.mu.Lock()
	switch {
	case len(v.later) > 0: // or a loop of yields would keep them waiting for ever
		v.later = append(v.later, tk)
	case len(v.ready) > 0:
		v.ready = append(v.ready, tk)
	default:
		v.mu.Unlock()
		return
	}
	v.mu.Unlock()
	v.park(tk)
}

// defers lets everything that is ready now, or becomes so by it, run before
// the current task begins a sub-request: nginx only posts those.
func (v *VM) defers(tk *task) {
	if tk.req.siblings() == 0 {
		return
	}
	v.mu.Lock()
	if len(v.ready) == 0 && len(v.later) == 0 {
		v.mu.Unlock()
		return
	}
	v.later = append(v.later, tk)
	v.mu.Unlock()
	v.park(tk)
}

// patience is how many looks (vm.Options.OnLook) a run may have the lock while
// others wait for it: some hundred microseconds.
const patience = 2

// look gives the others a turn when one run takes long.
func (v *VM) look(t *vm.Thread) {
	tk := v.cur
	if v.looks++; v.looks < patience || tk == &v.initTask {
		return
	}
	if rn := tk.req.run; rn != nil && !rn.hog {
		rn.hog = true
		if tk.req.phase == PhaseTimer {
			rn.kin.hogs.Add(1)
		}
		v.mu.Lock()
		v.hogs++
		v.mu.Unlock()
	}
	v.queueUp(tk)
	tk.check(t)
}

// queueUp gives everybody else a turn: who waits for the VM, who waits for a
// processor, and the other hogs, of which no more run at once than there are
// processors. A request that comes meanwhile finds few before it.
func (v *VM) queueUp(tk *task) {
	v.release()
	runtime.Gosched()
	v.host.Gate <- struct{}{}
	v.acquire(tk)
	v.gated = true
}

// kill ends a task at the next moment it would go on.
func (v *VM) kill(tk *task, reason error) {
	if tk.killed == nil {
		tk.killed = reason
	}
	if tk.child != nil {
		v.kill(tk.child, reason)
	}
	v.post(tk)
}

func newTask(v *VM, r *Request) *task {
	return &task{vm: v, req: r, wake: make(chan struct{}, 1)}
}

func vmOf(t *vm.Thread) *VM { return t.State().Data.(*VM) }

// Of is the VM that t belongs to.
func Of(t *vm.Thread) *VM { return vmOf(t) }

// RequestOf is the request that t runs for, never nil: init code sees a
// request without a context.
func RequestOf(t *vm.Thread) *Request { return t.State().Data.(*VM).cur.req }

// check ends the current thread when it was killed while it waited.
func (tk *task) check(t *vm.Thread) {
	if tk.killed != nil {
		t.Abort(tk.killed)
	}
}

// Job is something that may wait for the outside (a backend, a clock).
type Job interface{ Run() }

type jobFunc func()

func (f jobFunc) Run() { f() }

// Block runs f, which may wait for something outside, while other light threads of the VM go on.
// f must not touch Lua values.
func Block(t *vm.Thread, f func()) { BlockOn(t, jobFunc(f)) }

// BlockOn is Block for what every request does: a Job that is there anyway is no garbage, as a closure is.
func BlockOn(t *vm.Thread, j Job) {
	v := vmOf(t)
	tk := v.cur
	if tk.req.siblings() == 0 {
		v.release()
		j.Run()
		v.acquire(tk)
		return
	}
	// Somebody may end the request while j waits: then j is left behind, to
	// end when what it waits for is closed or times out.
	park := v.prepark(tk)
	go func() {
		j.Run()
		v.postPark(tk, park, false)
	}()
	v.park(tk)
	tk.check(t)
}
