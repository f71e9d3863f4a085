// Package admission decides, before any work is done for it, whether a request
// is taken in or told "later".
//
// What tells overload is queue wait, as in DAGOR (Zhou et al., "Overload
// Control for Scaling WeChat Microservices", 2018): here the time a goroutine
// that is ready waits for a processor, sampled every 5 ms. CPU averages react
// after seconds; the minute at :00 needs milliseconds.
//
//	wait > 20 ms:  admitted part of users *= 0.9    (every sample but the first)
//	wait < 10 ms:  admitted part of users += 0.01
//
// Users are cut by a hash, so that a user is steadily in or out: one who is
// let in gets all his requests answered, instead of everybody getting half of
// theirs. The hash is salted anew every minute, so that nobody is out for long.
// Besides, no more than Config.InFlight requests are worked on at once.
//
// A Gate may be used by all goroutines at once; Enter costs two atomic loads
// and an add.
package admission

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	sample   = 5 * time.Millisecond
	high     = 20 * time.Millisecond
	low      = 10 * time.Millisecond
	whole    = 1 << 16     // every user admitted
	least    = whole / 20  // never fewer than 5 %: somebody must show that it is over
	step     = whole / 100 // growth per calm sample
	saltTime = time.Minute
)

// Gate admits requests.
type Gate struct {
	inFlight atomic.Int64
	limit    int64
	part     atomic.Uint32 // of whole
	salt     atomic.Uint64
	shed     atomic.Int64
	wait     atomic.Int64 // the last sample, ns
	slow     int          // samples above high in a row; only observe touches it
}

// New returns a Gate that works on at most inFlight requests at once.
func New(inFlight int) *Gate {
	g := &Gate{limit: int64(inFlight)}
	g.part.Store(whole)
	return g
}

// Enter says whether the request of the user with this hash is taken in; if so,
// Leave must follow.
func (g *Gate) Enter(user uint64) bool {
	if part := g.part.Load(); part < whole && mix(user^g.salt.Load())%whole >= uint64(part) {
		g.shed.Add(1)
		return false
	}
	if g.inFlight.Add(1) > g.limit {
		g.inFlight.Add(-1)
		g.shed.Add(1)
		return false
	}
	return true
}

// Leave ends what Enter began.
func (g *Gate) Leave() { g.inFlight.Add(-1) }

// Run samples the queue wait until ctx ends.
func (g *Gate) Run(ctx context.Context) {
	ticker := time.NewTimer(sample)
	defer ticker.Stop()
	salted := time.Now()
	for before := time.Now(); ; before = time.Now() {
		ticker.Reset(sample)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		g.observe(now.Sub(before) - sample)
		if now.Sub(salted) > saltTime {
			salted = now
			g.salt.Store(mix(uint64(now.UnixNano())))
		}
	}
}

func (g *Gate) observe(wait time.Duration) {
	g.wait.Store(int64(wait))
	part := g.part.Load()
	if wait <= high {
		g.slow = 0
	} else {
		g.slow++
	}
	switch {
	case g.slow > 1: // one alone may be a hiccup of the machine
		g.part.Store(max(part/10*9, least))
	case wait < low && part < whole:
		g.part.Store(min(part+step, whole))
	}
}

// Stats is a snapshot for metrics.
type Stats struct {
	InFlight int64
	Shed     int64         // requests told "later", ever
	Admitted float64       // part of the users, 1 is all
	Wait     time.Duration // last sample of the queue wait
}

// Stats returns the present figures.
func (g *Gate) Stats() Stats {
	return Stats{g.inFlight.Load(), g.shed.Load(), float64(g.part.Load()) / whole, time.Duration(g.wait.Load())}
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
