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
	// Unreadable is told of an entry that nobody can read: what it changed is not known here. nil
	// means that nothing can be done but count it.
	Unreadable func(bucket int)
	// Ack tells the source how far this region has applied, so that it may trim. nil means
	// that nobody trims by it.
	Ack func(ctx context.Context, at map[int]changelog.ID) error
	// Situation is asked before each write; nil means the zero Situation.
	Situation func() Situation
	// Applied is called for every key after it was written: what process-local copies live
	// by. It may be called by two goroutines at once. nil means that nobody listens.
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

	parked     map[string]*lot // by node
	parkedFrom []changelog.ID  // the position while something is parked, or was and is not written yet; else nil
	look       time.Time       // when parked nodes are asked again

	wake  chan struct{} // something is pending, or the reader caught up
	space chan struct{} // the writer took what was pending
	fixes chan fix
	fence context.CancelCauseFunc // ends Run: another process took over
	stats stats
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
		cfg: cfg, clock: &linkClock{}, cur: newPending(n), place: map[int]int{}, parked: map[string]*lot{},
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
