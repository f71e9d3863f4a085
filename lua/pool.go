package lua

import (
	"sync"
	"time"

	"sluice/lua/ngx"
)

// pool holds the VMs of a bundle and bounds the requests in them.
//
// A request takes a seat in a VM where nobody runs at the moment; the first
// min VMs are used in turn, so that few are enough for all processors and
// their memory stays warm. One that somebody hogs gets no new requests: when
// all are hogged, another is made, up to max.
type pool struct {
	make     func() (*ngx.VM, error)
	min, max int // VMs
	requests int // at once
	wait     time.Duration
	idle     time.Duration
	now      func() time.Time
	count    *counters

	mu      sync.Mutex
	vms     []pooledVM
	making  int // VMs on their way into vms
	turn    int
	seated  int
	waiters []chan struct{}
	closed  bool
	drained func() // called once, when closed and all requests are done
}

type pooledVM struct {
	*ngx.VM
	used time.Time // when it was last given, if it is one beyond min
}

// get gives a seat with its VM's lock held, or nil when there were too many
// requests for too long.
func (p *pool) get(now time.Time) (*ngx.Seat, error) {
	p.mu.Lock()
	if p.seated >= p.requests {
		if !p.waitLocked() {
			return nil, nil
		}
	} else {
		p.seated++
	}
	// From here on the request is counted, and mu is held.
	n := min(p.min, len(p.vms))
	for i := range p.vms {
		k := i
		if i < n {
			k = (i + p.turn) % n
		}
		if s := p.vms[k].TrySit(); s != nil {
			if k < n {
				p.turn = k + 1
			} else {
				p.vms[k].used = now
			}
			p.mu.Unlock()
			return s, nil
		}
	}
	v := p.leastCrowded()
	if all := len(p.vms) + p.making; v == nil && (all < p.max || len(p.vms) == 0) || all < p.min {
		p.making++
		p.mu.Unlock()
		return p.grow(now)
	}
	if v == nil { // all are hogged, and there are as many as there may be
		v = p.vms[p.turn%len(p.vms)].VM
		p.turn++
	}
	p.mu.Unlock()
	return v.Sit(), nil
}

// leastCrowded is the VM that nobody hogs where the fewest wait.
func (p *pool) leastCrowded() (best *ngx.VM) {
	fewest := 0
	for i := range p.vms {
		l := p.vms[i].Load()
		if !l.Hogged && !l.Spent && (best == nil || l.Ready < fewest) {
			best, fewest = p.vms[i].VM, l.Ready
		}
	}
	return best
}

// grow makes a VM and sits down in it.
func (p *pool) grow(now time.Time) (*ngx.Seat, error) {
	v, err := p.add(now)
	if err != nil {
		p.leave()
		return nil, err
	}
	return v.Sit(), nil
}

// add makes the VM that making counts already.
func (p *pool) add(now time.Time) (*ngx.VM, error) {
	v, err := p.make()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making--
	if err != nil {
		return nil, err
	}
	p.count.created.Add(1)
	p.vms = append(p.vms, pooledVM{v, now})
	return v, nil
}

// waitLocked waits for another request to end; true means that mu is held and
// the place is ours, false that neither is.
func (p *pool) waitLocked() bool {
	ch := make(chan struct{}, 1)
	p.waiters = append(p.waiters, ch)
	p.mu.Unlock()
	p.count.waits.Add(1)
	start := p.now()
	defer func() { p.count.waitedNanos.Add(int64(p.now().Sub(start))) }()
	tm := time.NewTimer(p.wait)
	defer tm.Stop()
	select {
	case <-ch:
		p.mu.Lock()
		return true
	case <-tm.C:
	}
	p.mu.Lock()
	for i, w := range p.waiters {
		if w == ch {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.mu.Unlock()
			p.count.waitFailed.Add(1)
			return false
		}
	}
	return true // the place came at the last moment
}

// put takes a seat back.
func (p *pool) put(s *ngx.Seat) {
	v := s.VM()
	if s.Leave() {
		p.drop(v)
	}
	p.leave()
}

// leave ends a request: whoever waits gets its place.
func (p *pool) leave() {
	p.mu.Lock()
	if len(p.waiters) > 0 {
		ch := p.waiters[0]
		p.waiters = p.waiters[1:]
		p.mu.Unlock()
		ch <- struct{}{}
		return
	}
	p.seated--
	var f func()
	if p.closed && p.seated == 0 {
		f, p.drained = p.drained, nil
	}
	p.mu.Unlock()
	if f != nil {
		f()
	}
}

// drop forgets a spent VM; another is made when somebody needs one.
func (p *pool) drop(v *ngx.VM) {
	p.count.discarded.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.vms {
		if p.vms[i].VM == v {
			p.vms = append(p.vms[:i], p.vms[i+1:]...)
			return
		}
	}
}

// warm makes the VMs that are kept ready.
func (p *pool) warm() error {
	for {
		p.mu.Lock()
		full := len(p.vms)+p.making >= p.min
		if !full {
			p.making++
		}
		p.mu.Unlock()
		if full {
			return nil
		}
		if _, err := p.add(p.now()); err != nil {
			return err
		}
	}
}

// shrink gives up what nobody used for a while: VMs beyond min, and the seats
// of a rush that is over.
func (p *pool) shrink(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.vms[:min(p.min, len(p.vms))]
	for _, v := range p.vms[len(keep):] {
		if now.Sub(v.used) <= p.idle || v.Load().Seated > 0 {
			keep = append(keep, v)
		}
	}
	clear(p.vms[len(keep):])
	p.vms = keep
	if p.seated == 0 {
		for i := range p.vms {
			p.vms[i].Trim()
		}
	}
}

// size counts the VMs, those of them in which nobody sits, and the requests.
func (p *pool) size() (all, idle, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.vms {
		if p.vms[i].Load().Seated == 0 {
			idle++
		}
	}
	return len(p.vms), idle, p.seated
}

// close lets the requests end, then calls drained.
func (p *pool) close(drained func()) {
	p.mu.Lock()
	p.closed = true
	done := p.seated == 0
	if !done {
		p.drained = drained
	}
	p.mu.Unlock()
	if done && drained != nil {
		drained()
	}
}
