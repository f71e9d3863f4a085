package lua

import (
	"sync"
	"time"

	"sluice/lua/ngx"
)

// pool holds the VMs of a bundle: last in, first out, so that the warm ones
// are used and the rest can be given up. sync.Pool will not do: the collector
// empties it, and it has no bound.
type pool struct {
	make     func() (*ngx.VM, error)
	min, max int
	wait     time.Duration
	idle     time.Duration
	now      func() time.Time
	count    *counters

	mu      sync.Mutex
	free    []freeVM
	all     int
	waiters []chan *ngx.VM
	closed  bool
	drained func() // called once, when closed and all VMs are back
}

type freeVM struct {
	vm *ngx.VM
	at time.Time
}

// get gives a VM, or nil when none became free in time.
func (p *pool) get() (*ngx.VM, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		v := p.free[n-1].vm
		p.free[n-1] = freeVM{}
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return v, nil
	}
	if p.all < p.max {
		p.all++
		p.mu.Unlock()
		v, err := p.make()
		if err != nil {
			p.lost()
			return nil, err
		}
		p.count.created.Add(1)
		return v, nil
	}
	ch := make(chan *ngx.VM, 1)
	p.waiters = append(p.waiters, ch)
	p.mu.Unlock()

	p.count.waits.Add(1)
	start := p.now()
	tm := time.NewTimer(p.wait)
	defer tm.Stop()
	var v *ngx.VM
	select {
	case v = <-ch:
	case <-tm.C:
		p.mu.Lock()
		for i, w := range p.waiters {
			if w == ch {
				p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
				break
			}
		}
		p.mu.Unlock()
		select {
		case v = <-ch: // it came at the last moment
		default:
			p.count.waitFailed.Add(1)
		}
	}
	p.count.waitedNanos.Add(int64(p.now().Sub(start)))
	return v, nil
}

// put takes a VM back. One that must not be used again is replaced only when
// somebody needs one.
func (p *pool) put(v *ngx.VM, now time.Time) {
	if v.Spent {
		p.count.discarded.Add(1)
		p.lost()
		return
	}
	p.mu.Lock()
	if len(p.waiters) > 0 {
		ch := p.waiters[0]
		p.waiters = p.waiters[1:]
		p.mu.Unlock()
		ch <- v
		return
	}
	if p.closed {
		p.mu.Unlock()
		p.lost()
		return
	}
	p.free = append(p.free, freeVM{v, now})
	p.mu.Unlock()
}

// lost forgets a VM; a waiter gets a fresh one in its place.
func (p *pool) lost() {
	p.mu.Lock()
	p.all--
	if len(p.waiters) > 0 && p.all < p.max {
		p.all++
		p.mu.Unlock()
		v, err := p.make()
		if err == nil {
			p.count.created.Add(1)
			p.put(v, p.now())
			return
		}
		p.mu.Lock()
		p.all--
	}
	var f func()
	if p.closed && p.all == 0 && p.drained != nil {
		f, p.drained = p.drained, nil
	}
	p.mu.Unlock()
	if f != nil {
		f()
	}
}

// warm makes the VMs that are kept ready.
func (p *pool) warm() error {
	for range p.min {
		p.mu.Lock()
		full := p.all >= p.min
		if !full {
			p.all++
		}
		p.mu.Unlock()
		if full {
			return nil
		}
		v, err := p.make()
		if err != nil {
			p.lost()
			return err
		}
		p.count.created.Add(1)
		p.put(v, p.now())
	}
	return nil
}

// shrink gives up VMs that nobody used for a while: the oldest are at the
// bottom of the stack.
func (p *pool) shrink(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.free) && p.all-n > p.min && now.Sub(p.free[n].at) > p.idle {
		n++
	}
	if n > 0 {
		p.free = append(p.free[:0], p.free[n:]...)
		clear(p.free[len(p.free) : len(p.free)+n])
		p.all -= n
	}
}

func (p *pool) size() (all, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all, len(p.free)
}

// close lets the VMs in use come back, then calls drained.
func (p *pool) close(drained func()) {
	p.mu.Lock()
	p.closed = true
	p.drained = drained
	p.all -= len(p.free)
	p.free = nil
	done := p.all == 0
	if done {
		p.drained = nil
	}
	p.mu.Unlock()
	if done && drained != nil {
		drained()
	}
}
