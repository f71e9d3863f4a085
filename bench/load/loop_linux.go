package load

import (
	"context"
	"math/rand/v2"
	"time"

	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
)

// loop is one thread of the generator; nothing in it is shared but the recorder.
type loop struct {
	cfg      *Config
	prog     *scenario.Program
	targets  []target
	schedule *arrival.Schedule
	minter   *token.Minter
	rec      *record.Recorder
	rnd      *rand.Rand
	base     time.Time
	poll     *poller
	buf      []byte

	conns    []*conn
	free     []*conn // closed places
	idle     connRing
	live     int
	waiting  queue // for a connection
	refused  queue // connections that could not even be tried
	thinking timers
	spare    *user
	users    int
	maxUsers int
	numbers  uint64 // closed loop: arrivals so far
	part     uint64
	parts    uint64
	seq      uint64
	tokens   [][]byte // of few users: minted once
	scope    scenario.Scope
	hit      record.Hit

	nextN  uint64
	nextAt int64
	more   bool
	swept  int64
	stop   int64 // no request is intended from here on
}

// connRing is a FIFO of idle connections, so that all of them, and all targets, are used alike.
type connRing struct {
	ring       []*conn
	head, size int
}

func (r *connRing) push(c *conn) {
	if r.size == len(r.ring) {
		bigger := make([]*conn, max(64, 2*r.size))
		for i := range r.size {
			bigger[i] = r.ring[(r.head+i)%len(r.ring)]
		}
		r.ring, r.head = bigger, 0
	}
	r.ring[(r.head+r.size)%len(r.ring)] = c
	r.size++
}

// pop skips connections that were closed while idle.
func (r *connRing) pop() *conn {
	for r.size > 0 {
		c := r.ring[r.head]
		r.head = (r.head + 1) % len(r.ring)
		r.size--
		if c.state == idle {
			return c
		}
	}
	return nil
}

func (l *loop) now() int64 { return int64(time.Since(l.base)) }

const (
	sweepEvery = int64(20 * time.Millisecond)
	burst      = 128 // arrivals taken before answers are looked at again
)

// run works until the measured part is over and its requests are answered or timed out.
func (l *loop) run(ctx context.Context) {
	l.rec.Lock()
	defer l.rec.Unlock()
	l.advanceSchedule()
	if l.cfg.Closed {
		for range len(l.conns) {
			l.arriveNext(max(l.now(), 0))
		}
	}
	for {
		now := l.now()
		for n := 0; l.more && l.nextAt <= now && n < burst; n++ {
			l.arrive(l.nextN, l.nextAt)
			l.advanceSchedule()
		}
		for len(l.thinking) > 0 && l.thinking[0].at <= now {
			t := l.thinking.pop()
			l.advance(t.u, t.at)
		}
		if now-l.swept >= sweepEvery {
			l.sweep(now)
			if now >= l.stop && !l.more {
				l.dismiss()
			}
			// It ends: who is in flight is answered or times out, even if we ourselves were held up.
			if ctx.Err() != nil || now >= l.stop && !l.more && l.users == 0 {
				return
			}
		}
		events := l.pause(now)
		for i := range events {
			e := &events[i]
			if c := l.conns[e.Fd]; c.generation == e.Pad && c.state != closed {
				l.ready(c, e.Events)
			}
		}
	}
}

// pause waits for events, but not past the next arrival, timer or sweep.
func (l *loop) pause(now int64) (ev eventList) {
	until := l.swept + sweepEvery
	if l.more {
		until = min(until, l.nextAt)
	}
	if len(l.thinking) > 0 {
		until = min(until, l.thinking[0].at)
	}
	d := time.Duration(until-l.now()) - l.cfg.Spin
	if d <= 0 {
		return l.poll.wait(0)
	}
	l.rec.Unlock()
	ev = l.poll.wait(d)
	l.rec.Lock()
	return ev
}

func (l *loop) advanceSchedule() {
	if l.schedule == nil {
		return
	}
	n, at, ok := l.schedule.Next()
	l.nextN, l.nextAt, l.more = n, int64(at), ok
}

func (l *loop) arriveNext(at int64) {
	n := l.part + l.numbers*l.parts
	l.numbers++
	l.arrive(n, at)
}

// arrive begins a user's way.
func (l *loop) arrive(n uint64, at int64) {
	l.rec.Arrive()
	if l.users >= l.maxUsers {
		l.rec.Drop()
		return
	}
	u := l.spare
	if u == nil {
		u = &user{uid: make([]byte, 0, 64)}
	} else {
		l.spare = u.next
		u.next = nil
	}
	u.reset()
	u.number = l.prog.Users.Number(n)
	u.uid = l.prog.Users.AppendUID(u.uid[:0], u.number)
	l.users++
	l.advance(u, at)
}

// dismiss sends users home whose next request would be after the end.
func (l *loop) dismiss() {
	kept := l.thinking[:0]
	for _, t := range l.thinking {
		if t.at < l.stop {
			kept.push(t.at, t.u) // the heap is built anew in place, behind the reader
		} else {
			l.leave(t.u)
		}
	}
	l.thinking = kept
}

func (l *loop) leave(u *user) {
	u.next, l.spare = l.spare, u
	l.users--
	if l.cfg.Closed {
		if now := l.now(); now < l.stop {
			l.arriveNext(now)
		}
	}
}

// advance runs the program up to the next request, intended at due, or pause.
func (l *loop) advance(u *user, due int64) {
	for {
		if u.pc == len(l.prog.Ops) || due >= l.stop {
			l.leave(u)
			return
		}
		op := &l.prog.Ops[u.pc]
		u.pc++
		switch op.Kind {
		case scenario.Send:
			u.request, u.intended, u.taken = op.Request, due, max(l.now(), due)
			l.seq++
			u.seq = l.part + l.seq*l.parts
			l.dispatch(u)
			return
		case scenario.Think:
			d := int64(op.Min)
			if op.Max > op.Min {
				d += l.rnd.Int64N(int64(op.Max - op.Min))
			}
			l.thinking.push(due+d, u)
			return
		case scenario.Begin:
			u.counters[op.Counter] = 0
		case scenario.Again:
			if u.counters[op.Counter]++; int(u.counters[op.Counter]) < op.Times && !op.Until[string(u.outcome)] {
				u.pc = op.Jump
			}
		}
	}
}

// dispatch finds a connection for u, or lets it wait.
func (l *loop) dispatch(u *user) {
	if l.waiting.n == 0 {
		if c := l.idle.pop(); c != nil {
			l.transmit(c, u, max(l.now(), u.taken))
			return
		}
	}
	l.waiting.push(u)
	l.refill()
}

// refill opens connections for those who wait, as far as the limit allows.
func (l *loop) refill() {
	for l.waiting.n > 0 && len(l.free) > 0 {
		u := l.waiting.pop()
		c := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		l.open(c, u)
	}
}

// sweep ends what took longer than the timeout, connected or still waiting.
func (l *loop) sweep(now int64) {
	l.swept = now
	limit := now - int64(l.cfg.Timeout)
	for l.waiting.head != nil && l.waiting.head.taken <= limit {
		u := l.waiting.pop()
		l.advance(u, l.finish(u, nil, 0, record.ErrTimeout))
	}
	for n := l.refused.n; n > 0; n-- { // only those of now: they may come again
		u := l.refused.pop()
		l.advance(u, l.finish(u, nil, 0, record.ErrConnect))
	}
	for _, c := range l.conns {
		if c.user != nil && c.user.taken <= limit {
			l.fail(c, record.ErrTimeout)
		}
	}
}
