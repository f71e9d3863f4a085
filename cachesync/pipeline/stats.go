package pipeline

import (
	"sync/atomic"
	"time"
)

// Buckets of Stats.Times: upper bounds; the last bucket of Times has none.
func Buckets() []time.Duration {
	return []time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	}
}

const buckets = 14

// Stats of one node since the start. Counters only grow.
type Stats struct {
	Addr          string
	Up            bool // at least one connection carries calls
	Connects      uint64
	ConnectErrors uint64
	Calls         uint64
	Errors        uint64 // calls without a reply, for whatever cause
	Timeouts      uint64
	Busy          uint64
	Writes        uint64 // system calls; Calls/Writes is the batch size
	BytesOut      uint64
	BytesIn       uint64
	InFlight      int64
	Times         [buckets]uint64 // replies by time since Start, see Buckets; not cumulative
	TimeSum       time.Duration
}

type counters struct {
	connects, connectErrors, calls, errors, timeouts, busy, writes, out, in atomic.Uint64
	timeSum                                                                 atomic.Int64
	times                                                                   [buckets]atomic.Uint64
}

func (c *counters) observe(nanos int64) {
	c.timeSum.Add(nanos)
	c.times[bucket(nanos)].Add(1)
}

// bucket matches Buckets without a loop over a slice: most calls end in the first ones.
func bucket(nanos int64) int {
	us := nanos / 1000
	switch {
	case us < 100:
		return 0
	case us < 250:
		return 1
	case us < 500:
		return 2
	case us < 1000:
		return 3
	case us < 2500:
		return 4
	case us < 5000:
		return 5
	case us < 10_000:
		return 6
	case us < 25_000:
		return 7
	case us < 50_000:
		return 8
	case us < 100_000:
		return 9
	case us < 250_000:
		return 10
	case us < 500_000:
		return 11
	case us < 1_000_000:
		return 12
	}
	return 13
}

// Stats is a snapshot; its numbers may be of slightly different moments.
func (n *Node) Stats() Stats {
	c := &n.counters
	s := Stats{
		Addr: n.addr, Up: n.Up(),
		Connects: c.connects.Load(), ConnectErrors: c.connectErrors.Load(),
		Calls: c.calls.Load(), Errors: c.errors.Load(), Timeouts: c.timeouts.Load(), Busy: c.busy.Load(),
		Writes: c.writes.Load(), BytesOut: c.out.Load(), BytesIn: c.in.Load(),
		InFlight: n.inFlight.Load(), TimeSum: time.Duration(c.timeSum.Load()),
	}
	for i := range c.times {
		s.Times[i] = c.times[i].Load()
	}
	return s
}
