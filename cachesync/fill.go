package cachesync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/apply"
)

// Source is where missing records come from: a home's Redis, the user source, or a warm
// neighbour. Fill answers for as many of the keys as it can; a key it does not mention is
// ErrNotFound. Records carry the version stored at the source: a fill never mints one.
type Source interface {
	Fill(ctx context.Context, keys []string) ([]Filled, error)
}

// Filled is a source's answer for one key.
type Filled struct {
	Key    string
	Record Record
	Expiry int64 // Unix seconds, 0 = none
	Err    error // ErrNotFound, ErrLater, or what went wrong
}

// Limits protect a source. The zero Limits are ready for use.
type Limits struct {
	// PerSecond is how many keys a second the source is asked for; zero value means 20000.
	PerSecond float64 `yaml:"per_second"`
	// Queue is how many keys may wait; more are told "later" at once. Zero value means what
	// PerSecond clears in 250 ms.
	Queue int `yaml:"queue"`
	// Batch is the most keys of one call; zero value means 64.
	Batch int `yaml:"batch"`
	// Workers is how many calls run at once; zero value means 4.
	Workers int `yaml:"workers"`
	// Timeout ends a call and the wait of its callers; zero value means 1 s.
	Timeout time.Duration `yaml:"timeout"`
}

func (l Limits) withDefaults() Limits {
	if l.PerSecond <= 0 {
		l.PerSecond = 20000
	}
	if l.Queue <= 0 {
		l.Queue = max(1, int(l.PerSecond/4))
	}
	if l.Batch <= 0 {
		l.Batch = 64
	}
	if l.Workers <= 0 {
		l.Workers = 4
	}
	if l.Timeout <= 0 {
		l.Timeout = time.Second
	}
	return l
}

const (
	// MaxFillAge: a fill that took longer is not written; what it read may be outdated and
	// the change that outdated it already evicted.
	MaxFillAge = 500 * time.Millisecond

	// holdUnstored is how long an answer that memcached could not take serves those who come
	// after: without it a hot key of a dead node would ask its source again and again.
	holdUnstored = 100 * time.Millisecond

	watchEvery   = 5 * time.Millisecond
	looksPerLock = 20
)

// FillStats is a snapshot of one source's counters.
type FillStats struct {
	Asked    int64 // keys the source was asked for
	Calls    int64
	Stored   int64 // fills written to memcached
	Late     int64 // fills older than MaxFillAge: dropped
	Shared   int64 // reads that joined a fill under way in this process
	Waited   int64 // keys another process was filling
	Refused  int64 // reads told "later" because the queue was full
	NotFound int64
	Failed   int64
	Behind   int64 // answers older than what this region has seen
	Queued   int64
}

// flight is one key's fill under way; all who want the key wait for done.
type flight struct {
	key    string
	done   chan struct{}
	born   time.Time
	looks  int       // how often the watch looked in vain
	over   bool      // answered; guarded by the filler's mu
	until  time.Time // over, but answers still; guarded by the filler's mu
	state  State
	record Record
	err    error
}

// filler fills the misses of one prefix.
type filler struct {
	cache  *Cache
	prefix string
	source Source
	limits Limits
	rate   *rate
	owner  []byte // what this process writes into its locks

	queue  chan *flight
	urgent chan *flight
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	flights map[string]*flight
	watched []*flight // filled by another process; guarded by mu
	held    []*flight // over, oldest first; guarded by mu

	stats struct {
		asked, calls, stored, late, shared, waited, refused, notFound, failed, behind atomic.Int64
	}
}

func newFiller(c *Cache, prefix string, s Source, limits Limits) *filler {
	limits = limits.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	f := &filler{
		cache: c, prefix: prefix, source: s, limits: limits, rate: newRate(limits.PerSecond, limits.Batch),
		owner: fmt.Appendf(nil, "%x.%p", c.now().UnixNano(), c),
		queue: make(chan *flight, limits.Queue), urgent: make(chan *flight, limits.Queue),
		ctx: ctx, stop: stop, flights: map[string]*flight{},
	}
	for range limits.Workers {
		f.wg.Add(1)
		go f.work()
	}
	f.wg.Add(1)
	go f.watch()
	return f
}

// join returns the key's fill under way, or starts one; fresh means none that is over. A full
// queue answers Later at once.
func (f *filler) join(key string, force, fresh bool) *flight {
	f.mu.Lock()
	fl, ok := f.flights[key]
	if ok && (!fl.over || !fresh && f.cache.now().Before(fl.until)) {
		f.mu.Unlock()
		f.stats.shared.Add(1)
		return fl
	}
	fl = &flight{key: key, done: make(chan struct{}), born: f.cache.now()}
	f.flights[key] = fl
	f.mu.Unlock()
	queue := f.queue
	if force {
		queue = f.urgent
	}
	select {
	case queue <- fl:
	default:
		f.stats.refused.Add(1)
		f.finish(fl, Later, Record{}, ErrLater)
	}
	if f.ctx.Err() != nil { // closed meanwhile: nobody may be left to take it
		f.finish(fl, Later, Record{}, ErrLater)
	}
	return fl
}

// finish answers everybody who waits; the first answer counts.
func (f *filler) finish(fl *flight, s State, r Record, err error) {
	f.hold(fl, s, r, err, time.Time{})
}

// hold is finish for an answer that serves those who come until then as well.
func (f *filler) hold(fl *flight, s State, r Record, err error, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.over {
		return
	}
	fl.over, fl.until = true, until
	if until.IsZero() {
		delete(f.flights, fl.key)
	} else {
		f.held = append(f.held, fl)
	}
	fl.state, fl.record, fl.err = s, r, err
	close(fl.done)
}

// work takes flights in batches; the urgent ones first.
func (f *filler) work() {
	defer f.wg.Done()
	b := apply.Batch{Patience: MaxFillAge, Now: f.cache.now}
	batch := make([]*flight, 0, f.limits.Batch)
	for {
		batch = batch[:0]
		select {
		case fl := <-f.urgent:
			batch = append(batch, fl)
		default:
			select {
			case fl := <-f.urgent:
				batch = append(batch, fl)
			case fl := <-f.queue:
				batch = append(batch, fl)
			case <-f.ctx.Done():
				return
			}
		}
	more:
		for len(batch) < f.limits.Batch {
			select {
			case fl := <-f.urgent:
				batch = append(batch, fl)
				continue
			default:
			}
			select {
			case fl := <-f.queue:
				batch = append(batch, fl)
			default:
				break more
			}
		}
		f.run(&b, batch)
	}
}

// run fills one batch: lock, look again, ask, write, unlock.
func (f *filler) run(b *apply.Batch, batch []*flight) {
	now := f.cache.now()
	todo := make([]*flight, 0, len(batch))
	for _, fl := range batch {
		if now.Sub(fl.born) >= f.limits.Timeout {
			f.finish(fl, Later, Record{}, ErrLater)
			continue
		}
		todo = append(todo, fl)
	}
	if len(todo) == 0 || f.rate.wait(f.ctx, len(todo)) != nil {
		f.answer(todo, Later, ErrLater)
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, f.limits.Timeout)
	defer cancel()
	locked := f.cache.now()
	mine := f.unfilled(ctx, f.lock(ctx, todo), locked)
	f.rate.giveBack(len(todo) - len(mine))
	switch {
	case len(mine) == 0:
	case f.cache.now().Sub(locked) > f.limits.Timeout: // paused: the lock may not last until the answer
		f.answer(mine, Later, ErrLater)
	default:
		f.ask(ctx, b, mine)
		f.unlock(mine, locked)
	}
}

func (f *filler) answer(list []*flight, s State, err error) {
	for _, fl := range list {
		f.finish(fl, s, Record{}, err)
	}
}

func stateOf(r Record) State {
	switch {
	case r.Refill():
		return Miss
	case r.Tombstone():
		return Tombstone
	}
	return Hit
}

// ask reads from the source and writes what came, unless it took too long.
func (f *filler) ask(ctx context.Context, b *apply.Batch, list []*flight) {
	keys := make([]string, len(list))
	byKey := make(map[string]*flight, len(list))
	for i, fl := range list {
		keys[i] = fl.key
		byKey[fl.key] = fl
	}
	f.stats.calls.Add(1)
	f.stats.asked.Add(int64(len(keys)))
	asked := f.cache.now()
	got, err := f.source.Fill(ctx, keys)
	if err != nil {
		f.stats.failed.Add(int64(len(keys)))
		f.answer(list, Later, fmt.Errorf("cachesync: fill %s*: %w", f.prefix, err))
		return
	}
	now := f.cache.now()
	if now.Sub(asked) > MaxFillAge {
		f.stats.late.Add(int64(len(keys)))
		f.look(ctx, list) // an applier may have been faster
		f.answer(list, Later, ErrLater)
		return
	}
	writes := make([]apply.Write, 0, len(got))
	for _, g := range got {
		switch fl := byKey[g.Key]; {
		case fl == nil: // answered what was not asked
		case errors.Is(g.Err, ErrNotFound):
			f.stats.notFound.Add(1)
			f.finish(fl, Miss, Record{}, ErrNotFound)
		case g.Err != nil:
			f.stats.failed.Add(1)
			f.finish(fl, Later, Record{}, g.Err)
		default:
			writes = append(writes, apply.Write{Key: g.Key, Record: g.Record, Expiry: g.Expiry})
		}
	}
	b.Apply(ctx, f.cache.store, writes, asked)
	for i := range writes {
		f.written(&writes[i], byKey[writes[i].Key], asked)
	}
	for _, fl := range list { // the rest was not mentioned
		f.mu.Lock()
		open := !fl.over
		f.mu.Unlock()
		if open {
			f.stats.notFound.Add(1)
			f.finish(fl, Miss, Record{}, ErrNotFound)
		}
	}
}

// written answers with what is in memcached now, which may be newer than the fill.
func (f *filler) written(w *apply.Write, fl *flight, asked time.Time) {
	switch {
	case w.Outcome == apply.Kept && w.Found.Refill():
		f.stats.behind.Add(1)
		f.finish(fl, Later, Record{}, ErrBehind)
	case w.Outcome == apply.Kept:
		f.finish(fl, stateOf(w.Found), w.Found, nil)
	case w.Record.Refill() && w.Expiry != 0 && w.Expiry <= asked.Unix(): // expired at the source
		f.finish(fl, Miss, Record{}, ErrNotFound)
	case w.Record.Refill() || w.Outcome == apply.Withdrawn: // we were paused: it may not be true any more
		f.stats.late.Add(1)
		f.finish(fl, Later, Record{}, ErrLater)
	case w.Err != nil: // memcached does not take it; the source's word still holds
		until := f.cache.now().Add(holdUnstored)
		if latest := asked.Add(MaxFillAge); until.After(latest) {
			until = latest
		}
		f.hold(fl, stateOf(w.Record), w.Record, nil, until)
	default:
		f.stats.stored.Add(1)
		f.finish(fl, stateOf(w.Record), w.Record, nil)
	}
}

func (f *filler) close() {
	f.stop()
	f.wg.Wait()
	f.mu.Lock()
	list := make([]*flight, 0, len(f.flights))
	for _, fl := range f.flights {
		list = append(list, fl)
	}
	f.mu.Unlock()
	f.answer(list, Later, ErrLater)
}

func (f *filler) snapshot() FillStats {
	s := &f.stats
	return FillStats{
		Asked: s.asked.Load(), Calls: s.calls.Load(), Stored: s.stored.Load(), Late: s.late.Load(),
		Shared: s.shared.Load(), Waited: s.waited.Load(), Refused: s.refused.Load(),
		NotFound: s.notFound.Load(), Failed: s.failed.Load(), Behind: s.behind.Load(),
		Queued: int64(len(f.queue) + len(f.urgent)),
	}
}
