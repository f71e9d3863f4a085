package ngx

import (
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// Start is what a request from outside begins with.
type Start struct {
	Ctx    *fasthttp.RequestCtx
	Server Server
	Loc    *Location // nil means Server finds it
	Params Params
	Route  string
	Budget Budget
	Now    time.Time
}

// Seat is the place of one request in a VM: its stack, its globals, its
// budget. Libraries and modules are the VM's, so what a seat adds to the
// memory in use is small. A seat is used again and again.
type Seat struct {
	Start Start // to be filled before Serve

	vm     *VM
	req    Request
	task   task
	run    run
	thread *vm.Thread
	env    *vm.Table  // globals
	funcs  []vm.Value // closures by Chunk.ID
}

// maxWarmStack is the largest stack that a seat keeps for the next request.
const maxWarmStack = 4096

// Load tells how crowded a VM is.
type Load struct {
	Seated int  // requests
	Ready  int  // flows of control that wait for their turn
	Hogged bool // by something that takes more than a turn
	Spent  bool // it takes no more requests
}

// Load is a moment's view.
func (v *VM) Load() Load {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Load{v.seated, len(v.ready), v.hogs > 0, v.spent}
}

// TrySit gives a seat, and the VM's lock with it, when the VM is there for the
// taking: nobody runs in it, nobody hogs it.
func (v *VM) TrySit() *Seat {
	v.mu.Lock()
	if v.busy || v.hogs > 0 || v.spent {
		v.mu.Unlock()
		return nil
	}
	v.take()
	s := v.seat()
	v.mu.Unlock()
	return s
}

// Sit waits for the VM's lock and gives a seat with it.
func (v *VM) Sit() *Seat {
	v.mu.Lock()
	s := v.seat()
	v.mu.Unlock()
	v.acquire(&s.task)
	return s
}

// seat needs mu.
func (v *VM) seat() *Seat {
	v.seated++
	if n := len(v.free) - 1; n >= 0 {
		s := v.free[n]
		v.free = v.free[:n]
		s.task.req = nil
		return s
	}
	s := &Seat{vm: v}
	s.task = task{vm: v, seat: s, wake: make(chan struct{}, 1)}
	return s
}

// Leave gives the seat back after Serve. It reports whether nobody needs the
// VM any more: it is spent, and this was the last request.
func (s *Seat) Leave() (over bool) {
	s.Start.Ctx, s.Start.Params = nil, nil
	v := s.vm
	v.mu.Lock()
	v.seated--
	v.free = append(v.free, s)
	over = v.spent && v.seated == 0
	v.mu.Unlock()
	return over
}

// VM is where the seat is.
func (s *Seat) VM() *VM { return s.vm }

// Trim gives up the seats that nobody sits in.
func (v *VM) Trim() {
	v.mu.Lock()
	v.free = nil
	v.mu.Unlock()
}

// Serve runs one request from outside through all its phases and leaves the
// answer in Start.Ctx. The caller has the VM's lock, which Serve gives up.
func (s *Seat) Serve() {
	v, r := s.vm, &s.req
	if s.env == nil {
		s.env = v.newEnv()
		s.thread = s.newThread()
	}
	s.run = run{serial: v.newSerial(), route: s.Start.Route, budget: s.Start.Budget}
	s.run.start(s.Start.Now)
	r.begin(v, &s.run, &s.Start)
	r.seat = s
	s.task.req, s.task.killed = r, nil
	v.enter(&s.task)
	r.handle()
	r.commit()
	r.killLights()
	r.runEndFuncs()
	r.ctxTable = nil
	r.Used() // brings the meter up to date
	s.cleanEnv()
	if s.thread.StackSize() > maxWarmStack {
		s.thread = s.newThread()
	}
	v.forgive(&s.run, false)
	v.cur, v.run = &v.initTask, nil
	v.release()
}

// forgive ends a run: a hog is none any more, and a VM that it has damaged
// takes no new requests.
func (v *VM) forgive(rn *run, timer bool) {
	v.host.Memory.giveBack(rn)
	spent := v.grewBy(rn) || v.Dirty || v.State.Dirty()
	if !rn.hog && !spent {
		return
	}
	v.mu.Lock()
	if rn.hog {
		v.hogs--
		if timer {
			rn.kin.hogs.Add(-1)
		}
	}
	v.spent = v.spent || spent
	v.mu.Unlock()
}

// Used is what the request has used, after Serve.
func (s *Seat) Used() Used { return s.req.used() }

func (s *Seat) newThread() *vm.Thread {
	th := s.vm.State.NewEntry(s.env)
	th.SetData(&s.task)
	return th
}

// OnLook is for vm.Options.
func OnLook(t *vm.Thread) { vmOf(t).look(t) }
