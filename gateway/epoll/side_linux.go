package epoll

import (
	"math"
	"sync"
	"sync/atomic"
)

// What a side knows about its socket.
const (
	drained uint32 = iota // an event will tell when there is something
	ready                 // try the socket
	waiting               // drained, and somebody sleeps on wake
	asleep                // drained, and the next signal rouses the socket's owner
)

// never is the deadline of a side that has none.
const never = math.MaxInt64

// side is one direction of a socket.
type side struct {
	turn     sync.Mutex // one Read, or one Write, at a time
	state    atomic.Uint32
	deadline atomic.Int64  // on the poller's clock
	patience atomic.Int64  // the same; who waits is woken then, to think again
	wake     chan struct{} // takes one token from whoever replaces waiting by ready
	rouse    func()        // called by whoever replaces asleep by ready, who may have poller.mu
}

func (s *side) init() {
	s.wake = make(chan struct{}, 1)
	s.deadline.Store(never)
	s.patience.Store(never)
}

// wait returns when the side was signalled since it was drained. The caller has the turn.
func (s *side) wait() {
	if s.state.CompareAndSwap(drained, waiting) {
		<-s.wake
	}
}

// signal makes whoever waits, or waits next, look again: at the socket, at the
// deadline, and whether the socket was closed.
func (s *side) signal() {
	if s.state.Load() == ready {
		return
	}
	switch s.state.Swap(ready) {
	case waiting:
		s.wake <- struct{}{}
	case asleep:
		s.rouse()
	}
}

// hurry is a signal for who waits only.
func (s *side) hurry() {
	if s.state.CompareAndSwap(waiting, ready) {
		s.wake <- struct{}{}
	}
}

// sleep says that nobody looks at the socket until a signal rouses its owner. It is false when
// there was one since it was drained.
func (s *side) sleep() bool { return s.state.CompareAndSwap(drained, asleep) }

// rise ends the sleep without a signal.
func (s *side) rise() bool { return s.state.CompareAndSwap(asleep, drained) }
