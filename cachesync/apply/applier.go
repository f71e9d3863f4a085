package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Reader reads the change logs of the applier's buckets (*changelog.Reader).
type Reader interface {
	Read(ctx context.Context, pos []changelog.ID, sink changelog.Sink) (n int, full bool, err error)
	Close()
}

// ErrFenced: another process has taken over the applying of this source in this region.
var ErrFenced = errors.New("apply: another process applies this source here")

// Positions keeps how far a source has been applied, in the destination region.
type Positions interface {
	// Load returns the saved positions (buckets that have none are absent) and makes the
	// caller the one who may save: a Save of the one before fails with ErrFenced.
	Load(ctx context.Context, source string) (map[int]changelog.ID, error)
	Save(ctx context.Context, source string, at map[int]changelog.ID) error
}

// Config of an Applier. Source, Buckets, Reader, Store and Positions are required.
type Config struct {
	Source    string // the home whose changes these are
	Buckets   []int
	Reader    Reader
	Store     Store
	Positions Positions

	// Start gives the position of a bucket that has none saved; nil means the oldest change
	// that the log still has.
	Start func(ctx context.Context, bucket int) (changelog.ID, error)
	// Repair is told that the changes between from and to are gone for good; positions of
	// the bucket are not saved before it has returned nil. nil means that nothing can be
	// done but count it.
	Repair func(ctx context.Context, bucket int, from, to changelog.ID) error
	// Ack tells the source how far this region has applied, so that it may trim. nil means
	// that nobody trims by it.
	Ack func(ctx context.Context, at map[int]changelog.ID) error
	// Situation is asked before each write; nil means the zero Situation.
	Situation func() Situation
	// Applied is called for every key after it was written: what process-local copies live
	// by. nil means that nobody listens.
	Applied func(key string, v record.Version)

	// MaxPending bounds the bytes read and not yet written; zero value means 256 MB.
	MaxPending int
	// BatchSize is the most records in one batch of operations; zero value means 2048.
	BatchSize int
	// Gather is the longest that COLLAPSE and INVALIDATE gather before they write; zero
	// value means 2.5 s.
	Gather time.Duration
	// SaveEvery and AckEvery: zero values mean 100 ms and 500 ms.
	SaveEvery, AckEvery time.Duration

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means slog.Default
}

// Applier brings the changes of one source's buckets into one region's memcached.
//
// One goroutine reads, one writes, one saves positions; a position is saved only after all
// before it is written, so that a crash repeats changes and never skips one.
type Applier struct {
	cfg   Config
	clock *linkClock

	mu       sync.Mutex
	cur      *pending // being filled by the reader
	caughtUp bool
	settled  bool           // caught up once since the beginning
	starts   []changelog.ID // where this applier began, or what it repeats begins
	again    time.Time      // when to begin there once more; zero: it has
	took     bool           // something was written
	hold     bool           // until all behind starts is written (again), that is the position
	rewound  bool           // the next read begins at starts
	pass     int            // counts Rewinds: a turn taken before one does not end hold
	history  []past         // of applied, oldest first
	asOf     time.Time      // what is pending is the state of the log at this time
	since    time.Time      // the turn being gathered has its first change since then
	read     []changelog.ID // read up to here
	applied  []changelog.ID // written up to here
	holding  []bool         // position must not be saved: the bucket is being repaired
	stalled  []bool         // a gap was seen: the rest of this read is skipped for the bucket
	asked    []bool         // the gap was asked for once more
	place    map[int]int    // bucket -> index in all of these
	modes    []Modal

	wake  chan struct{} // something is pending, or the reader caught up
	space chan struct{} // the writer took what was pending
	fixes chan fix
	fence context.CancelCauseFunc // ends Run: another process took over
	stats stats

	downSince time.Time // the writer's: since when a node is down
}

type fix struct {
	at       int
	from, to changelog.ID
}

// New makes an Applier; Run does the work.
func New(cfg Config) *Applier {
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 256 << 20
	}
	if cfg.BatchSize <= 0 {
		cfg.BatchSize = 2048
	}
	if cfg.Gather <= 0 {
		cfg.Gather = 2500 * time.Millisecond
	}
	if cfg.SaveEvery <= 0 {
		cfg.SaveEvery = 100 * time.Millisecond
	}
	if cfg.AckEvery <= 0 {
		cfg.AckEvery = 500 * time.Millisecond
	}
	if cfg.Situation == nil {
		cfg.Situation = func() Situation { return Situation{} }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	n := len(cfg.Buckets)
	a := &Applier{
		cfg: cfg, clock: &linkClock{}, cur: newPending(n), place: map[int]int{},
		read: make([]changelog.ID, n), applied: make([]changelog.ID, n), modes: make([]Modal, n),
		holding: make([]bool, n), stalled: make([]bool, n), asked: make([]bool, n),
		wake: make(chan struct{}, 1), space: make(chan struct{}, 1), fixes: make(chan fix, n),
	}
	for i, b := range cfg.Buckets {
		a.place[b] = i
	}
	return a
}

// Run works until the context ends; what it has read by then is written and saved.
func (a *Applier) Run(ctx context.Context) error {
	defer a.cfg.Reader.Close()
	ctx, a.fence = context.WithCancelCause(ctx)
	defer a.fence(nil)
	if err := a.locate(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	for _, f := range []func(context.Context){a.readAll, a.repairAll, a.saveAll} {
		wg.Add(1)
		go func() { defer wg.Done(); f(reading) }()
	}
	a.writeAll(ctx)
	wg.Wait()
	if err := context.Cause(ctx); errors.Is(err, ErrFenced) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	a.save(last)
	return ctx.Err()
}

// locate finds where to begin; a source that does not answer is asked until it does.
func (a *Applier) locate(ctx context.Context) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := a.tryLocate(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		a.cfg.Log.Warn("applier cannot begin", "source", a.cfg.Source, "err", err)
		sleep(ctx, wait)
	}
}

func (a *Applier) tryLocate(ctx context.Context) error {
	saved, err := a.cfg.Positions.Load(ctx, a.cfg.Source)
	if err != nil {
		return fmt.Errorf("apply: load positions of %s: %w", a.cfg.Source, err)
	}
	for i, b := range a.cfg.Buckets {
		id, ok := saved[b]
		if !ok && a.cfg.Start != nil {
			if id, err = a.cfg.Start(ctx, b); err != nil {
				return err
			}
		}
		a.mu.Lock()
		a.read[i], a.applied[i] = id, id
		a.mu.Unlock()
	}
	a.begin()
	return nil
}

// secondPass is when an applier begins once more where it began. Another process may have
// been at work here until this one took over, and may have gone on for a moment (for
// staleAfter at most, if it was paused): what it wrote over evicted keys meanwhile is then
// put right. Until that is done the position stays where it was. An applier that wrote its
// first change only after that moment (it had a backlog to gather) needs no second pass.
const secondPass = 2 * time.Second

// begin notes where the applier starts.
func (a *Applier) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.starts, a.history = slices.Clone(a.read), nil
	a.again, a.hold, a.took = a.cfg.Now().Add(secondPass), true, false
}

// keepBehind is how far the saved position stays behind what is written. A fill that was on
// its way while a newer change was written and lost again (flush_all, restart) may still
// come, up to half a second later; repeating the last changes puts it right.
const keepBehind = 3 * time.Second

type past struct {
	at  time.Time
	pos []changelog.ID
}

// remember notes what is written by now; the caller holds mu.
func (a *Applier) remember(now time.Time) {
	a.history = append(a.history, past{now, slices.Clone(a.applied)})
	for len(a.history) > 1 && now.Sub(a.history[1].at) >= keepBehind {
		a.history = a.history[1:]
	}
}

// Rewind repeats the changes of the last seconds: the memcached was found to have lost data.
// Until they are written again the position stays where they begin, however long that takes:
// a process that takes over repeats them too, and so does the next Rewind. Were it to begin
// later than the one before it, which is not done yet, the changes between would be skipped,
// and what was gathered so far would be written as if it were the newest.
func (a *Applier) Rewind() {
	a.mu.Lock()
	defer a.mu.Unlock()
	copy(a.starts, a.behind())
	a.hold, a.rewound = true, true
	a.pass++
	a.settled, a.caughtUp = false, false
}

// behind is where the position stands that may be saved; the caller holds mu.
func (a *Applier) behind() []changelog.ID {
	if a.hold || len(a.history) == 0 || a.cfg.Now().Sub(a.history[0].at) < keepBehind {
		return a.starts
	}
	return a.history[0].pos
}

// beforeRead goes back to starts after a Rewind, and for the second pass when it is time; the
// caller holds mu. A read that is on its way goes on from where it was sent.
func (a *Applier) beforeRead() {
	clear(a.stalled)
	if a.took && !a.again.IsZero() && !a.cfg.Now().Before(a.again) {
		a.again, a.settled, a.caughtUp = time.Time{}, false, false
		a.rewound = true
	}
	if a.rewound {
		a.rewound = false
		copy(a.read, a.starts)
	}
}

// readAll reads without end, as long as there is room for what it reads.
func (a *Applier) readAll(ctx context.Context) {
	pos := make([]changelog.ID, len(a.read))
	wait := time.Duration(0)
	for ctx.Err() == nil {
		a.mu.Lock()
		a.beforeRead()
		copy(pos, a.read)
		full := a.cur.bytes >= a.cfg.MaxPending
		a.mu.Unlock()
		if full {
			a.stats.fullWaits.Add(1)
			select {
			case <-a.space:
			case <-ctx.Done():
			}
			continue
		}
		sent := a.cfg.Now()
		_, more, err := a.cfg.Reader.Read(ctx, pos, a)
		a.readDone(sent, more, err)
		a.poke()
		if err == nil {
			wait = 0
			a.stats.connected.Store(true)
			continue
		}
		if ctx.Err() == nil {
			if a.stats.connected.Swap(false) || wait == 0 {
				a.cfg.Log.Warn("change log cannot be read", "source", a.cfg.Source, "err", err)
			}
			a.stats.readErrors.Add(1)
			wait = min(max(2*wait, 10*time.Millisecond), 500*time.Millisecond)
			sleep(ctx, wait)
		}
	}
}

func (a *Applier) readDone(sent time.Time, more bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.caughtUp = err == nil && !more && !a.rewound && !slices.Contains(a.stalled, true)
	a.settled = a.settled || a.caughtUp
	if err == nil {
		a.asOf = sent
	}
}

// Entry, Malformed and Beat take what the Reader reads.
func (a *Applier) Entry(bucket int, e *changelog.Entry) {
	i := a.place[bucket]
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.admit(i, e.ID) {
		return
	}
	changes := e.Changes
	if len(changes) > 0 && changes[0].Again && a.modes[i].Mode() != Set {
		changes = nil // anti-entropy waits while there is a backlog to clear
	}
	for c := range changes {
		a.cur.add(i, &changes[c])
	}
	if len(changes) == 0 {
		a.cur.changes++ // the position moves on all the same
	}
	a.read[i], a.cur.last[i] = e.ID, e.ID
	a.stats.entries.Add(1)
	a.stats.changes.Add(int64(len(e.Changes)))
}

// admit decides whether an entry is the next of its bucket. A gap is asked for once more; if
// it is still there, the bucket is repaired whole and reading goes on behind the gap.
func (a *Applier) admit(i int, id changelog.ID) bool {
	prev := a.read[i]
	switch {
	case a.stalled[i]:
		return false
	case id.Follows(prev):
		a.asked[i] = false
		return true
	case !id.After(prev):
		a.stats.duplicates.Add(1)
		return false
	case !a.asked[i]:
		a.asked[i], a.stalled[i] = true, true
		a.stats.gapsSeen.Add(1)
		return false
	}
	a.asked[i] = false
	if prev == (changelog.ID{}) && a.cfg.Repair == nil {
		return true // there is no earlier state to be wrong about
	}
	a.stats.gaps.Add(1)
	select {
	case a.fixes <- fix{i, prev, id}:
		a.holding[i] = true
	default: // a repair of this bucket waits already
	}
	return true
}

// Malformed counts an entry that nobody can read. It is a hole like any other.
func (a *Applier) Malformed(bucket int, id changelog.ID, err error) {
	a.stats.malformed.Add(1)
	a.cfg.Log.Error("malformed entry in the change log: the bucket will be repaired",
		"source", a.cfg.Source, "bucket", bucket, "id", id.String(), "err", err)
}

// Beat takes a heartbeat of the source.
func (a *Applier) Beat(ms int64) { a.clock.beat(ms, a.cfg.Now()) }

// repairAll repairs buckets one after another, each until it succeeds.
func (a *Applier) repairAll(ctx context.Context) {
	for {
		var f fix
		select {
		case f = <-a.fixes:
		case <-ctx.Done():
			return
		}
		bucket := a.cfg.Buckets[f.at]
		a.cfg.Log.Warn("changes are missing: repairing the bucket", "source", a.cfg.Source,
			"bucket", bucket, "from", f.from.String(), "to", f.to.String())
		for wait := 50 * time.Millisecond; a.cfg.Repair != nil; wait = min(2*wait, 5*time.Second) {
			err := a.cfg.Repair(ctx, bucket, f.from, f.to)
			if err == nil {
				a.stats.repairs.Add(1)
				break
			}
			if ctx.Err() != nil {
				return
			}
			a.cfg.Log.Error("repair failed", "source", a.cfg.Source, "bucket", bucket, "err", err)
			sleep(ctx, wait)
		}
		a.mu.Lock()
		a.holding[f.at] = false
		a.mu.Unlock()
	}
}

// saveAll saves positions and tells them to the source, apart from writing, so that neither
// store can hold it up.
func (a *Applier) saveAll(ctx context.Context) {
	saved := time.NewTicker(a.cfg.SaveEvery)
	acked := time.NewTicker(a.cfg.AckEvery)
	defer saved.Stop()
	defer acked.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-saved.C:
			a.save(ctx)
		case <-acked.C:
			if a.cfg.Ack == nil {
				continue
			}
			if err := a.cfg.Ack(ctx, a.Applied()); err != nil && ctx.Err() == nil {
				a.stats.ackErrors.Add(1)
			}
		}
	}
}

func (a *Applier) save(ctx context.Context) {
	a.mu.Lock()
	a.remember(a.cfg.Now())
	a.mu.Unlock()
	err := a.cfg.Positions.Save(ctx, a.cfg.Source, a.Applied())
	if errors.Is(err, ErrFenced) {
		a.fence(err)
	}
	if err != nil && ctx.Err() == nil {
		if a.stats.saveErrors.Add(1) == 1 {
			a.cfg.Log.Warn("position cannot be saved", "source", a.cfg.Source, "err", err)
		}
	}
}

// Written is how far each bucket is written.
func (a *Applier) Written() map[int]changelog.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int]changelog.ID, len(a.applied))
	for i, b := range a.cfg.Buckets {
		out[b] = a.applied[i]
	}
	return out
}

// Applied is how far each bucket is written for good and may be forgotten by the source; it
// stays keepBehind behind Written.
func (a *Applier) Applied() map[int]changelog.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int]changelog.ID, len(a.applied))
	if a.starts == nil {
		return out
	}
	at := a.behind()
	for i, b := range a.cfg.Buckets {
		switch {
		case a.holding[i]:
		case at[i] != (changelog.ID{}):
			out[b] = at[i]
		}
	}
	return out
}

func (a *Applier) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// permanent reports whether trying the same write again is of no use.
func permanent(err error) bool {
	return errors.Is(err, memcache.ErrTooLarge) || errors.Is(err, memcache.ErrMalformedKey) || errors.Is(err, memcache.ErrServerError)
}

type stats struct {
	entries, changes, duplicates, gapsSeen, gaps, repairs, malformed atomic.Int64
	readErrors, writeErrors, saveErrors, ackErrors, refused          atomic.Int64
	fullWaits, late, invalidated, hot, rounds                        atomic.Int64
	connected                                                        atomic.Bool

	mu     sync.Mutex
	counts Counts // of the writer's batch
	lags   lagWindow
}
