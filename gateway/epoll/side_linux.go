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
)

// never is the deadline of a side that has none.
const never = math.MaxInt64

// side is one direction of a socket.
type side struct {
	turn     sync.Mutex // one Read, or one Write, at a time
	state    atomic.Uint32
	deadline atomic.Int64  // on the poller's clock
	wake     chan struct{} // takes one token from whoever replaces waiting by ready
}

func (s *side) init() {
	s.wake = make(chan struct{}, 1)
	s.deadline.Store(never)
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
	if s.state.Load() != ready && s.state.Swap(ready) == waiting {
		s.wake <- struct{}{}
	}
}
