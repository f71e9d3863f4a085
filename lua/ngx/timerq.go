package ngx

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"

	"sluice/lua/vm"
)

// timer is one ngx.timer.
type timer struct {
	vm        *VM
	fn        vm.Value
	args      []vm.Value
	every     bool
	premature bool
	delay     time.Duration
	at        time.Time
	seq       uint64
	run       run
	by        uint64 // the serial of the run that made it
	loc       *Location
	from      string // the client of the request that made it
}

// timers are the pending timers of a bundle, in the order in which they fall
// due; equal times in the order in which they were made. One Go timer serves
// them all.
type timers struct {
	pending, running atomic.Int64

	mu     sync.Mutex
	heap   timerHeap
	seq    uint64
	wake   *time.Timer
	closed bool
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(*timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}

func (q *timers) add(h *Host, tm *timer) {
	q.pending.Add(1)
	q.mu.Lock()
	q.push(h, tm)
	q.arm(h)
	q.mu.Unlock()
}

func (q *timers) push(h *Host, tm *timer) {
	q.seq++
	tm.seq = q.seq
	// To the millisecond, as nginx counts: two timers of the same delay made in
	// a row fall due together, in order.
	tm.at = time.Now().Add(tm.delay).Truncate(time.Millisecond)
	heap.Push(&q.heap, tm)
}

// arm sets the Go timer for the first one. The caller holds mu.
func (q *timers) arm(h *Host) {
	if len(q.heap) == 0 {
		return
	}
	d := max(0, time.Until(q.heap[0].at))
	if q.closed {
		d = 0
	}
	if q.wake == nil {
		q.wake = time.AfterFunc(d, func() { q.due(h) })
		return
	}
	q.wake.Reset(d)
}

// due starts what has fallen due.
func (q *timers) due(h *Host) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(q.heap) > 0 && (q.closed || !q.heap[0].at.After(now)) {
		tm := heap.Pop(&q.heap).(*timer)
		tm.premature = q.closed
		wait := tm.run.kin.wait(now)
		if wait > 0 && !tm.every && !q.closed {
			tm.at = now.Add(wait)
			heap.Push(&q.heap, tm)
			continue
		}
		again := tm.every && !tm.premature
		if !again {
			q.pending.Add(-1)
		}
		if wait == 0 || q.closed {
			q.start(h, tm)
		}
		if again {
			next := *tm
			q.push(h, &next)
		}
	}
	q.arm(h)
}

// start runs a timer, unless too many run.
func (q *timers) start(h *Host, tm *timer) {
	v := tm.vm
	if int(q.running.Load()) >= h.MaxRunning {
		go func() {
			tk := newTask(v, nil)
			v.acquire(tk)
			v.cur = &v.initTask
			msg := "lua failed to run timer with function defined at " + v.definedAt(tm.fn) + ": " +
				itoa(h.MaxRunning) + " lua_max_running_timers are not enough"
			tm.leave()
			h.log(&Request{vm: v, run: &tm.run, phase: PhaseTimer, loc: tm.loc}, LevelAlert, msg)
		}()
		return
	}
	q.running.Add(1)
	rn := tm.run
	rn.start(h.Now())
	r := &Request{vm: v, run: &rn, phase: PhaseTimer, loc: tm.loc, fromClient: tm.from, start: h.Now(), clen: -1}
	tk := newTask(v, r)
	// Taking the place in the queue here, not in the goroutine, keeps the order.
	v.mu.Lock()
	wait := v.busy || len(v.ready) > 0
	if wait {
		v.ready = append(v.ready, tk)
	} else {
		v.take()
	}
	v.mu.Unlock()
	one := *tm
	go func() {
		if wait {
			<-tk.wake
		}
		one.fire(tk)
	}()
}

// Retire makes every pending timer fire now, with premature set.
func (h *Host) Retire() {
	q := &h.timers
	q.mu.Lock()
	q.closed = true
	q.arm(h)
	q.mu.Unlock()
}

// TimerCount counts pending and running timers of all VMs.
func (h *Host) TimerCount() (pending, running int) {
	return int(h.timers.pending.Load()), int(h.timers.running.Load())
}
