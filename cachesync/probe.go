package cachesync

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
)

// horizons are how long after a write reached this region it is read back. A read in another
// region gets there later by the way to it, so what is measured there is the horizon beyond
// the link's minimum, without any clock being compared.
var horizons = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute}

const (
	probeTick = 5 * time.Millisecond
	probeMax  = 4096 // of each horizon and region
)

// prober is the proof that is always on. Of every ProbeEvery-th write it reads back, at each
// horizon, whether that version or a newer one is there: in its own region of all homes'
// writes, and in every other active region of the writes of its own home.
type prober struct {
	s     *Syncer
	every uint64
	count atomic.Uint64
	own   *readback
	peers *peers
}

func newProber(s *Syncer) *prober {
	return &prober{s: s, every: uint64(s.cfg.ProbeEvery), own: newReadback(s.cfg.Region, s.store), peers: newPeers(s)}
}

// applied hears of every write of this region; ours says that it is one of its own home.
func (p *prober) applied(key string, v Version, ours bool) {
	if p.count.Add(1)%p.every != 0 {
		return
	}
	now := time.Now()
	p.own.note(key, v, now)
	if ours {
		for _, r := range p.peers.active() {
			r.note(key, v, now)
		}
	}
}

// run reads back what is due. A region that does not answer holds up no other.
func (p *prober) run(ctx context.Context) error {
	defer p.peers.close()
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(probeTick)
	defer tick.Stop()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now = <-tick.C:
		}
		for _, r := range append(p.peers.active(), p.own) {
			if !r.busy.CompareAndSwap(false, true) {
				continue
			}
			due := r.take(now)
			if len(due) == 0 {
				r.busy.Store(false)
				continue
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer r.busy.Store(false)
				p.check(ctx, r, due)
			}()
		}
	}
}

func (p *prober) check(ctx context.Context, r *readback, due []probe) {
	for _, old := range r.check(ctx, due) {
		if r == p.own || horizons[old.horizon] >= 10*time.Second {
			p.s.deps.Log.Error("probe found an older version than was written", "region", r.name, "key", old.key,
				"horizon", horizons[old.horizon], "want", old.version.String())
		}
	}
}

// readback is what was seen of this region's writes in one region.
type readback struct {
	name  string
	store apply.Store
	busy  atomic.Bool
	seen  [len(horizons)]struct{ found, missing, older, unreachable atomic.Int64 }

	mu    sync.Mutex
	queue [len(horizons)][]probe
}

type probe struct {
	key     string
	version Version
	due     time.Time
	horizon int
}

func newReadback(name string, store apply.Store) *readback {
	return &readback{name: name, store: store}
}

func (r *readback) note(key string, v Version, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range horizons {
		if len(r.queue[i]) < probeMax {
			r.queue[i] = append(r.queue[i], probe{key, v, now.Add(h), i})
		}
	}
}

// take removes what is due, of all horizons.
func (r *readback) take(now time.Time) (due []probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, q := range r.queue {
		n := 0
		for n < len(q) && !q[n].due.After(now) {
			n++
		}
		due = append(due, q[:n]...)
		r.queue[i] = append(q[:0], q[n:]...)
	}
	return due
}

// check reads all that is due in one batch and returns what is older than it should be.
func (r *readback) check(ctx context.Context, due []probe) (older []probe) {
	ops := make([]memcache.Op, len(due))
	for j := range due {
		ops[j] = memcache.Op{Kind: memcache.Get, Key: due[j].key}
	}
	r.store.Do(ctx, ops)
	if ctx.Err() != nil {
		return nil
	}
	for j := range due {
		seen := &r.seen[due[j].horizon]
		rec, err := Parse(ops[j].Value)
		switch {
		case ops[j].Err != nil && memcache.IsTransport(ops[j].Err):
			seen.unreachable.Add(1)
		case ops[j].Err != nil || err != nil:
			seen.missing.Add(1)
		case rec.Version >= due[j].version:
			seen.found.Add(1)
		default:
			seen.older.Add(1)
			older = append(older, due[j])
		}
	}
	return older
}

// proof is the counts by horizon.
func (r *readback) proof() region.Proof {
	var out region.Proof
	for i := range horizons {
		s := &r.seen[i]
		out[i] = region.Seen{
			Found: s.found.Load(), Missing: s.missing.Load(), Older: s.older.Load(), Unreachable: s.unreachable.Load(),
		}
	}
	return out
}

// proofs is what was seen in every region there is, by name.
func (p *prober) proofs() map[string]region.Proof {
	out := map[string]region.Proof{p.own.name: p.own.proof()}
	for _, r := range p.peers.active() {
		out[r.name] = r.proof()
	}
	return out
}

// wrong is how often this region itself had an older version than was written here.
func (p *prober) wrong() (n int64) {
	for i := range p.own.seen {
		n += p.own.seen[i].older.Load()
	}
	return n
}

// nines is the share of probes found in this region, per horizon.
func (p *prober) nines() map[string]string {
	out := map[string]string{}
	for i, s := range p.own.proof() {
		if share := s.Share(); share != "" {
			out[region.Horizons[i]] = share
		}
	}
	return out
}
