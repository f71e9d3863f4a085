package cachesync

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
)

// horizons are how long after a write reached this region it is read back.
var horizons = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute}

// prober is the proof that is always on: of every ProbeEvery-th write it reads back, at each
// horizon, whether this region still has that version or a newer one.
type prober struct {
	s     *Syncer
	every uint64
	count atomic.Uint64
	tries [len(horizons)]atomic.Int64
	found [len(horizons)]atomic.Int64
	wrong atomic.Int64 // an older version than was written: must stay 0
	gone  atomic.Int64 // evicted or expired

	mu    sync.Mutex
	queue [len(horizons)][]probe
}

type probe struct {
	key     string
	version Version
	due     time.Time
}

const probeMax = 4096 // of each horizon

func newProber(s *Syncer) *prober { return &prober{s: s, every: uint64(s.cfg.ProbeEvery)} }

func (p *prober) applied(key string, v Version) {
	if p.count.Add(1)%p.every != 0 {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range horizons {
		if len(p.queue[i]) < probeMax {
			p.queue[i] = append(p.queue[i], probe{key, v, now.Add(h)})
		}
	}
}

func (p *prober) run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			for i := range horizons {
				p.check(ctx, i, now)
			}
		}
	}
}

// check reads back what is due at one horizon, in one batch.
func (p *prober) check(ctx context.Context, i int, now time.Time) {
	p.mu.Lock()
	n := 0
	for n < len(p.queue[i]) && !p.queue[i][n].due.After(now) {
		n++
	}
	due := append([]probe(nil), p.queue[i][:n]...)
	p.queue[i] = append(p.queue[i][:0], p.queue[i][n:]...)
	p.mu.Unlock()
	if n == 0 {
		return
	}
	ops := make([]memcache.Op, n)
	for j := range due {
		ops[j] = memcache.Op{Kind: memcache.Get, Key: due[j].key}
	}
	p.s.store.Do(ctx, ops)
	for j := range due {
		p.tries[i].Add(1)
		r, err := Parse(ops[j].Value)
		switch {
		case ops[j].Err != nil || err != nil:
			p.gone.Add(1)
		case r.Version >= due[j].version:
			p.found[i].Add(1)
		default:
			p.wrong.Add(1)
			p.s.deps.Log.Error("probe found an older version than was written", "key", due[j].key,
				"want", due[j].version.String(), "found", r.Version.String())
		}
	}
}

// nines is the share of probes found, per horizon.
func (p *prober) nines() map[string]string {
	out := map[string]string{}
	for i := range horizons {
		if n := p.tries[i].Load(); n > 0 {
			out[region.Horizons[i]] = fmt.Sprintf("%.4g%%", 100*float64(p.found[i].Load())/float64(n))
		}
	}
	return out
}
