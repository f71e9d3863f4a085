package cachesync

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Errors of reads and fills.
var (
	// ErrNotFound: the source knows that the key has no record.
	ErrNotFound = errors.New("cachesync: no such record")
	// ErrLater: the source is at its limit; the caller should say "later".
	ErrLater = errors.New("cachesync: source is at its limit")
	// ErrBehind: the source answered with an older version than this region has seen.
	ErrBehind = errors.New("cachesync: source is behind this region")
)

// State is what a Read found.
type State uint8

// States. Miss is the zero State: nothing known here, and no source or none asked.
const (
	Miss      State = iota
	Hit             // Record holds the value
	Tombstone       // deleted, at Record.Version
	Later           // unknown here and the source is at its limit or too slow: say "later"
)

// String is the state's name.
func (s State) String() string { return [...]string{"miss", "hit", "tombstone", "later"}[s&3] }

// Read is one key to be read, and what was found.
type Read struct {
	Key    string
	NoFill bool // a miss stays a miss: the source is not asked
	Fresh  bool // no process-local copy
	Force  bool // a miss asks the source at once, before all that queue (`sync=force`)

	State  State
	Record Record // with Hit and Tombstone; the payload must not be changed
	Err    error  // why it is a Miss or Later, when there is a reason: ErrNotFound, ErrLater, memcache.ErrNodeDown...
}

// Store is one region's memcached (*memcache.Client).
type Store = apply.Store

// CacheConfig configures a Cache. Only Store is required.
type CacheConfig struct {
	Store Store
	Local LocalConfig
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Keep says for how long a process may keep a copy of a record without asking
	// memcached; 0 means not at all. nil means never. Give time only to states that may not
	// hide a win (final, with a complete filter) and to records whose age does not matter.
	Keep func(key string, r Record) time.Duration
}

// Cache is one region's memcached as a gateway sees it: batched reads, process-local
// copies, one fill per key, limited fills. Safe for concurrent use.
type Cache struct {
	store   Store
	now     func() time.Time
	keep    func(key string, r Record) time.Duration
	local   *local
	mu      sync.Mutex // guards changes of sources
	sources atomic.Pointer[[]*filler]
	pool    sync.Pool
	stats   cacheStats
}

type cacheStats struct {
	reads, local, hits, misses, tombstones, later atomic.Int64
	empty, foreign, future, truncated, corrupt    atomic.Int64
	errs                                          atomic.Int64
	kindReads, kindKnown                          [len(kinds)]atomic.Int64
}

// CacheStats is a snapshot of a Cache's counters.
type CacheStats struct {
	Reads, LocalHits, Hits, Misses, Tombstones, Later int64
	Empty, Foreign, Future, Truncated, Corrupt        int64 // values in the cache that are no records: misses
	Errors                                            int64
	LocalCopies                                       int64
	Sources                                           map[string]FillStats // by prefix
	Kinds                                             map[string]KindStats // by prefix
}

// KindStats counts the reads of one kind of records. Reads of w: records miss when the user
// has not won, so only the others have a hit ratio.
type KindStats struct{ Reads, Known int64 }

// NewCache makes a Cache; Close ends the goroutines of its sources.
func NewCache(cfg CacheConfig) *Cache {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache{store: cfg.Store, now: cfg.Now, keep: cfg.Keep, local: newLocal(cfg.Local)}
	c.sources.Store(&[]*filler{})
	c.pool.New = func() any { return new(readBatch) }
	return c
}

type readBatch struct {
	ops    []memcache.Op
	at     []int
	gens   []uint32
	misses []int
}

// Read reads all keys in one batch and fills what is missing from its source. The error is
// the context's; whatever happened to a single key stands in its Read.
func (c *Cache) Read(ctx context.Context, reads []Read) error {
	now := c.now()
	c.stats.reads.Add(int64(len(reads)))
	b := c.pool.Get().(*readBatch)
	defer c.pool.Put(b)
	b.ops, b.at, b.gens, b.misses = b.ops[:0], b.at[:0], b.gens[:0], b.misses[:0]
	for i := range reads {
		r := &reads[i]
		r.State, r.Record, r.Err = Miss, Record{}, nil
		if c.keep != nil && !r.Fresh && c.local.get(r, now) {
			c.stats.local.Add(1)
			continue
		}
		b.ops = append(b.ops, memcache.Op{Kind: memcache.Get, Key: r.Key})
		b.at = append(b.at, i)
		b.gens = append(b.gens, c.local.gen(r.Key))
	}
	if len(b.ops) == 0 {
		c.countKinds(reads)
		return nil
	}
	if err := c.store.Do(ctx, b.ops); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	for n, i := range b.at {
		r := &reads[i]
		c.take(r, &b.ops[n])
		b.ops[n].Value = nil
		switch {
		case r.State == Miss && !r.NoFill:
			b.misses = append(b.misses, n)
		case r.State == Hit && c.keep != nil:
			c.remember(r, now, b.gens[n])
		}
	}
	c.countKinds(reads)
	return c.fillMisses(ctx, reads, b, now)
}

// Local answers r from a process-local copy, or not at all: no I/O, and on false r is as it was.
func (c *Cache) Local(r *Read) bool {
	if c.keep == nil {
		return false
	}
	found := Read{Key: r.Key}
	if !c.local.get(&found, c.now()) || found.State != Hit {
		return false
	}
	r.State, r.Record, r.Err = Hit, found.Record, nil
	c.stats.reads.Add(1)
	c.stats.local.Add(1)
	c.countKind(r)
	return true
}

// kinds of keys whose hit ratio is told apart.
var kinds = [...]string{record.PrefixUser, record.PrefixRedPacket, record.PrefixRoom, record.PrefixWin}

// countKinds counts what was known before any fill: the hit ratio of the first minutes
// after :00 shows whether the warm-up did its work.
func (c *Cache) countKinds(reads []Read) {
	for i := range reads {
		c.countKind(&reads[i])
	}
}

func (c *Cache) countKind(r *Read) {
	for k, prefix := range kinds {
		if strings.HasPrefix(r.Key, prefix) {
			c.stats.kindReads[k].Add(1)
			if r.State != Miss {
				c.stats.kindKnown[k].Add(1)
			}
			break
		}
	}
}

// take turns a reply of memcached into a State; what is no whole record is a counted miss.
func (c *Cache) take(r *Read, op *memcache.Op) {
	if op.Err != nil {
		if !errors.Is(op.Err, memcache.ErrCacheMiss) {
			c.stats.errs.Add(1)
			r.Err = op.Err
		}
		c.stats.misses.Add(1)
		return
	}
	rec, err := record.Parse(op.Value)
	switch {
	case err != nil:
		c.count(err)
		c.stats.misses.Add(1)
	case rec.Refill():
		c.stats.misses.Add(1)
	case rec.Tombstone():
		r.State, r.Record = Tombstone, rec
		c.stats.tombstones.Add(1)
	default:
		r.State, r.Record = Hit, rec
		c.stats.hits.Add(1)
	}
}

func (c *Cache) count(err error) {
	switch {
	case errors.Is(err, record.ErrEmpty):
		c.stats.empty.Add(1)
	case errors.Is(err, record.ErrForeign):
		c.stats.foreign.Add(1)
	case errors.Is(err, record.ErrFuture):
		c.stats.future.Add(1)
	case errors.Is(err, record.ErrTruncated):
		c.stats.truncated.Add(1)
	default:
		c.stats.corrupt.Add(1)
	}
}

func (c *Cache) remember(r *Read, now time.Time, gen uint32) {
	if age := c.keep(r.Key, r.Record); age > 0 {
		c.local.put(r.Key, r.Record, now, age, gen)
	}
}

// fillMisses joins the fills of all missing keys, then waits for them together, as long as the most
// patient of their sources allows: a fill may stand in a queue behind those that a slow node holds up.
func (c *Cache) fillMisses(ctx context.Context, reads []Read, b *readBatch, now time.Time) error {
	if len(b.misses) == 0 {
		return nil
	}
	var few [8]*flight
	flights := few[:0]
	var patience time.Duration
	for _, n := range b.misses {
		r := &reads[b.at[n]]
		var fl *flight
		if s := c.sourceOf(r.Key); s != nil {
			fl = s.join(r.Key, r.Force, r.Force || r.Fresh)
			patience = max(patience, s.limits.Timeout)
		}
		flights = append(flights, fl)
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	for j, fl := range flights {
		if fl == nil {
			continue
		}
		n := b.misses[j]
		r := &reads[b.at[n]]
		select {
		case <-fl.done:
		case <-over.C:
			over.Reset(0) // for the others
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-fl.done: // also where time is over
			r.State, r.Record, r.Err = fl.state, fl.record, fl.err
		default:
			r.State, r.Err = Later, ErrLater
		}
		switch r.State {
		case Later:
			c.stats.later.Add(1)
		case Hit:
			if c.keep != nil {
				c.remember(r, now, b.gens[n])
			}
		case Miss:
			if errors.Is(r.Err, ErrNotFound) && c.keep != nil && c.local.cfg.MissingAge > 0 {
				c.local.putMissing(r.Key, now, b.gens[n])
			}
		}
	}
	return nil
}

// Applied tells the process-local copies that key now has version v in memcached: what is
// older is forgotten. Appliers and the invalidation feed call it.
func (c *Cache) Applied(key string, v Version) { c.local.applied(key, v) }

// Alive tells that the stream of Applied calls is whole up to now. While it is not heard for
// LocalConfig.Silence, copies live for LocalConfig.BlindAge at most.
func (c *Cache) Alive() { c.local.alive(c.now()) }

// Forget drops all process-local copies: the stream of Applied calls had a gap.
func (c *Cache) Forget() { c.local.forget() }

// Source sets where misses of keys with this prefix are filled from; the longest prefix
// that fits counts. It is called before the first Read.
func (c *Cache) Source(prefix string, s Source, limits Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := append([]*filler{newFiller(c, prefix, s, limits)}, *c.sources.Load()...)
	c.sources.Store(&list)
}

func (c *Cache) sourceOf(key string) *filler {
	var best *filler
	for _, f := range *c.sources.Load() {
		if strings.HasPrefix(key, f.prefix) && (best == nil || len(f.prefix) > len(best.prefix)) {
			best = f
		}
	}
	return best
}

// Close ends all fills; those who wait for one are told Later.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range *c.sources.Load() {
		f.close()
	}
}

// Stats is a snapshot of the counters.
func (c *Cache) Stats() CacheStats {
	s := &c.stats
	out := CacheStats{
		Reads: s.reads.Load(), LocalHits: s.local.Load(), Hits: s.hits.Load(), Misses: s.misses.Load(),
		Tombstones: s.tombstones.Load(), Later: s.later.Load(),
		Empty: s.empty.Load(), Foreign: s.foreign.Load(), Future: s.future.Load(),
		Truncated: s.truncated.Load(), Corrupt: s.corrupt.Load(), Errors: s.errs.Load(),
		LocalCopies: c.local.len(), Sources: map[string]FillStats{}, Kinds: map[string]KindStats{},
	}
	for k, prefix := range kinds {
		out.Kinds[prefix] = KindStats{s.kindReads[k].Load(), s.kindKnown[k].Load()}
	}
	for _, f := range *c.sources.Load() {
		out.Sources[f.prefix] = f.snapshot()
	}
	return out
}
