package load

import (
	"sluice/bench/load/scenario"
)

// user is one arrival on its way through the program.
type user struct {
	number   uint64
	seq      uint64
	pc       int
	request  *scenario.Request
	intended int64
	taken    int64
	counters [scenario.MaxNested]int32
	locals   [scenario.MaxLocals][]byte
	uid      []byte
	token    []byte
	scope    string
	outcome  []byte // of the last answer
	next     *user  // in the free list or the queue
}

func (u *user) reset() {
	u.pc, u.request = 0, nil
	u.counters = [scenario.MaxNested]int32{}
	for i := range u.locals {
		u.locals[i] = u.locals[i][:0]
	}
	u.token, u.outcome = u.token[:0], u.outcome[:0]
}

// queue is a FIFO of users linked through next.
type queue struct {
	head, tail *user
	n          int
}

func (q *queue) push(u *user) {
	u.next = nil
	if q.tail == nil {
		q.head = u
	} else {
		q.tail.next = u
	}
	q.tail = u
	q.n++
}

func (q *queue) pop() *user {
	u := q.head
	if u == nil {
		return nil
	}
	if q.head = u.next; q.head == nil {
		q.tail = nil
	}
	u.next = nil
	q.n--
	return u
}

// timers is a binary heap of users who think.
type timers []timer

type timer struct {
	at int64
	u  *user
}

func (t *timers) push(at int64, u *user) {
	h := append(*t, timer{at, u})
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= h[i].at {
			break
		}
		h[p], h[i] = h[i], h[p]
		i = p
	}
	*t = h
}

func (t *timers) pop() timer {
	h := *t
	top := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], timer{}
	h = h[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	*t = h
	return top
}
