package redpacket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/goredis"
	"sluice/cachesync/record"
	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// CertifyLedger is what certifying needs of the ledger.
type CertifyLedger interface {
	ledger.RedPackets
	ledger.Settler
	ledger.Reader
	ledger.Certifier
}

// CertifierConfig is what a Certifier is made of.
type CertifierConfig struct {
	House  *House        // required
	Ledger CertifyLedger // required
	Who    string        // stands in the certificates; required
	// Trusted says that nobody is told of a win before the ledger has it (the embedded
	// house): then nothing can be lost beyond the ledger, and nothing is quarantined.
	Trusted bool
	// Evidence tells the highest sequence number of a bucket that anybody outside Redis has
	// seen: readers of the change log. A Redis that is behind it has forgotten something. May be nil.
	Evidence func(ctx context.Context, bucket int) (seq uint64, err error)
	Every    time.Duration // how often the buckets are probed; 0 means 200 ms
	// Lease is how long a certifier that died keeps others away, 0 means 5 s. A living one renews
	// it. It only spares work: what two at once would do to each other, the epoch prevents.
	Lease time.Duration
	Log   *slog.Logger // nil means slog.Default
	// Certified is told of every certification, Frozen of every bucket that one froze; may be nil.
	Certified func(r CertifyReport)
	Frozen    func(f *ledger.FreezeError)
}

// CertifyReport tells what a certification found.
type CertifyReport struct {
	Epoch   uint64
	Buckets []BucketReport // those that are open now
}

// BucketReport is one bucket's part.
type BucketReport struct {
	Bucket      int
	Posted      int  // events of the tail posted into the ledger
	Stale       int  // events of an epoch given up before, dropped
	Lost        bool // Redis had forgotten something
	Why         string
	Restored    int // red packets written again
	Quarantined []ledger.Held
}

// Certifier is the door through which a Redis comes back into service: it compares each
// bucket with the ledger, posts the tail of its win stream, quarantines what may have been
// won beyond what is known, writes again what Redis lost, raises the epoch and loads the
// scripts of the new one. Until it has, every draw answers NOSCRIPT or FENCED.
//
// The order matters, so that a certifier may die at any point and another begin again:
//
//	raise   the epoch in Redis: from here no script of anybody runs; in the same step mark
//	        {b}:mend if Redis lost something, as the new epoch hides the traces
//	post    the tail of the win stream, under the old epoch
//	restore red packets, under the new epoch
//	certify in the ledger: new epoch and quarantine in one transaction
//	chain   the win stream to the ledger's position; unmark
//	load    the scripts: the bucket is open
//
// A bucket that cannot be certified is left at an epoch of its own, whose scripts nobody loads,
// and keeps no other waiting. What only a person can mend is frozen; anything else is tried
// again, ever more seldom, since each try costs one of 4,095 epochs.
type Certifier struct {
	CertifierConfig
	h     *House
	tries [Buckets]rest
}

// rest is how often a bucket failed in a row, and how long it is left alone.
type rest struct {
	tries int
	until time.Time
}

// NewCertifier checks its parts.
func NewCertifier(cfg CertifierConfig) (*Certifier, error) {
	if cfg.House == nil || cfg.Ledger == nil || cfg.Who == "" {
		return nil, fmt.Errorf("redpacket: a Certifier needs House, Ledger and Who")
	}
	if cfg.Every <= 0 {
		cfg.Every = 200 * time.Millisecond
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Certifier{CertifierConfig: cfg, h: cfg.House}, nil
}

// The rests of a bucket after certifications that failed: seconds, so that a bad link just before
// the hour costs seconds, and minutes after manyTries, so that a week of them does not use up the
// epochs.
const (
	minCertifyWait = time.Second
	maxCertifyWait = 8 * time.Second
	longRest       = 5 * time.Minute
	manyTries      = 30
)

// maxFaults in one certification, none of them a frozen bucket's, are a fault of Redis or ledger:
// the rest would cost an epoch each and fail too.
const maxFaults = 3

// Run certifies whatever needs it until the context ends. A bucket that the ledger froze is
// fenced and left to an operator: see Certify.
func (c *Certifier) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := c.Every
		if err := c.Step(ctx); err != nil && ctx.Err() == nil {
			wait = max(wait, minCertifyWait)
			c.Log.Error("certify", "err", err, "retry_in", wait)
		}
		c.h.sleep(ctx, wait)
	}
	return ctx.Err()
}

// Step probes all buckets once and certifies those that are not of the ledger's epoch. A node of a
// cluster that is away keeps the buckets of no other waiting.
func (c *Certifier) Step(ctx context.Context) error {
	known, err := c.Ledger.Positions(ctx, int(c.h.home))
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	bad, away := c.probe(ctx, known)
	now := c.h.now()
	bad = slices.DeleteFunc(bad, func(b int) bool {
		until := c.tries[b].until
		return now.Before(until) && until.Sub(now) <= longRest // else a clock was set back
	})
	if len(bad) == 0 {
		return away
	}
	_, err = c.Certify(ctx, bad)
	return errors.Join(away, err)
}

// probe finds the buckets that are not certified, and fences those that are frozen. The error is of
// those that nobody could ask.
func (c *Certifier) probe(ctx context.Context, known map[int]ledger.Bucket) (bad []int, away error) {
	unasked := 0
	pipe := c.h.control.Pipeline()
	var cmds [Buckets]*redis.Cmd
	for _, b := range c.h.buckets {
		if e := known[b].Epoch; e != 0 {
			k := &c.h.keys[b]
			cmds[b] = pipe.EvalSha(ctx, c.h.book.At(e).SHA(script.Probe), k.base())
		}
	}
	if pipe.Len() > 0 {
		pipe.Exec(ctx)
	}
	for _, b := range c.h.buckets {
		cmd, frozen := cmds[b], known[b].Frozen != nil
		switch {
		case cmd == nil:
			bad = append(bad, b)
			continue
		case cmd.Err() == nil && frozen:
			if err := c.fence(ctx, b, known); err != nil {
				away = errors.Join(away, err)
			}
			continue
		case cmd.Err() == nil || frozen:
			continue
		}
		if err := scriptError(cmd.Err()); isFenced(err) {
			bad = append(bad, b)
		} else if unasked++; unasked == 1 {
			away = errors.Join(away, fmt.Errorf("probing bucket %d: %w", b, err))
		}
	}
	if unasked > 1 {
		away = fmt.Errorf("%w; %d more could not be asked", away, unasked-1)
	}
	return bad, away
}

// fence closes a frozen bucket to every script, until it is certified by command.
func (c *Certifier) fence(ctx context.Context, b int, known map[int]ledger.Bucket) error {
	epoch, err := c.next(ctx, known)
	if err != nil {
		return err
	}
	c.Log.Error("fencing a frozen bucket", "bucket", b, "why", known[b].Frozen)
	return c.shut(ctx, b, epoch, known[b])
}

// shut keeps a bucket at an epoch of its own. That it is behind the ledger is marked, so that
// the next certification sees it too.
func (c *Certifier) shut(ctx context.Context, b int, epoch uint64, l ledger.Bucket) error {
	_, _, err := changelog.RaiseKnown(ctx, c.h.control, b, epoch, l.Position.Seq, "", knownOf(l))
	return err
}

func knownOf(l ledger.Bucket) changelog.Known {
	return changelog.Known{Epoch: l.Epoch, Win: l.Position.Seq}
}

// warnEpoch is from where on every certification says that epochs run out.
const warnEpoch = record.MaxEpoch - 500

// next is an epoch that no bucket of this home ever had. The embedded house uses the ledger's
// again when its Redis is new: that one was memory of a process which is gone, as its memcached
// and all readers are, and nobody was told of anything that the ledger does not have.
func (c *Certifier) next(ctx context.Context, known map[int]ledger.Bucket) (uint64, error) {
	var top uint64
	pipe := c.h.control.Pipeline()
	var cmds [Buckets]*redis.StringCmd
	for _, b := range c.h.buckets {
		cmds[b] = pipe.HGet(ctx, c.h.keys[b].meta, "epoch")
		top = max(top, known[b].Epoch, known[b].Position.Epoch)
	}
	pipe.Exec(ctx)
	again := c.Trusted && top > 0
	var away error
	asked := false
	for _, b := range c.h.buckets {
		e, err := cmds[b].Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			away = err
			continue
		}
		asked = true
		top = max(top, e)
		again = again && err != nil && known[b].Frozen == nil
	}
	switch {
	case !asked:
		return 0, fmt.Errorf("reading epochs: %w", away)
	case again && away == nil:
		return top, nil
	}
	if top >= warnEpoch {
		c.Log.Error("certify: the epochs of this home run out; see docs/restore.md", "epoch", top+1, "last", uint64(record.MaxEpoch))
	}
	// A number once taken is never taken again, also when Redis forgot it: a raise that comes late, of a
	// certification that was given up, and a Redis put back that had been raised and not certified
	// would pass for certified.
	epoch, err := c.Ledger.NextEpoch(ctx, int(c.h.home), top)
	if err != nil {
		return 0, fmt.Errorf("reserving an epoch: %w", err)
	}
	return epoch, nil
}

// Certify certifies the buckets given, frozen ones too; nil means all. It is what Run does by
// itself and `sluice redpacket certify` by command.
func (c *Certifier) Certify(ctx context.Context, buckets []int) (CertifyReport, error) {
	if buckets == nil {
		buckets = c.h.buckets
	}
	lease := fmt.Sprintf("sluice:certifier:%d", c.h.home)
	ok, err := c.h.control.SetNX(ctx, lease, c.Who, c.Lease).Result()
	switch {
	case err != nil: // the node that would have it is away; see Lease
		c.Log.Warn("certifying without a lease", "err", err)
	case !ok:
		return CertifyReport{}, fmt.Errorf("redpacket: another certifier is at work (key %s); it ends by itself within %v", lease, c.Lease)
	default:
		defer c.h.control.Del(context.WithoutCancel(ctx), lease)
		defer c.renew(ctx, lease)()
	}
	known, err := c.Ledger.Positions(ctx, int(c.h.home))
	if err != nil {
		return CertifyReport{}, fmt.Errorf("reading positions: %w", err)
	}
	epoch, err := c.next(ctx, known)
	if err != nil {
		return CertifyReport{}, err
	}
	spreads, err := c.spreads(ctx)
	if err != nil {
		return CertifyReport{}, err
	}
	report := CertifyReport{Epoch: epoch}
	set := c.h.book.At(epoch)
	var good, bad []int
	var errs []error
	faults := 0
	for _, b := range buckets {
		r, err := c.bucket(ctx, b, known[b], set, spreads)
		if err != nil {
			bad, errs = append(bad, b), append(errs, fmt.Errorf("bucket %d: %w", b, err))
			if c.failed(ctx, b, known[b], err); !errors.Is(err, ErrFrozen) {
				faults++
			}
			if faults == maxFaults || ctx.Err() != nil {
				break
			}
			continue
		}
		c.tries[b] = rest{}
		good, report.Buckets = append(good, b), append(report.Buckets, r)
		if r.Lost || r.Posted > 0 {
			c.Log.Warn("certified a bucket", "bucket", b, "epoch", epoch, "posted", r.Posted, "lost", r.Lost, "why", r.Why,
				"restored", r.Restored, "quarantined", len(r.Quarantined))
		}
	}
	if len(report.Buckets) == 0 {
		return report, errors.Join(errs...)
	}
	// What failed must not be opened by the scripts of the others: it moves on, alone.
	var shut uint64
	if len(bad) > 0 {
		if shut, err = c.next(ctx, known); err != nil {
			return report, errors.Join(append(errs, err)...)
		}
	}
	for _, b := range bad {
		if err := c.shut(ctx, b, shut, known[b]); err != nil && !strings.Contains(err.Error(), changelog.Fenced) {
			return report, errors.Join(append(errs, fmt.Errorf("bucket %d: keeping it shut: %w", b, err))...)
		}
	}
	// The probe comes last, when all others are there: it is what tells that the bucket is open.
	for _, probe := range []bool{false, true} {
		if err := c.load(ctx, set, good, func(n script.Name) bool { return (n == script.Probe) == probe }); err != nil {
			return report, err
		}
	}
	for _, r := range report.Buckets {
		c.h.sets[r.Bucket].Store(set)
	}
	c.Log.Info("certified", "home", c.h.home, "buckets", len(report.Buckets), "epoch", epoch)
	if c.Certified != nil {
		c.Certified(report)
	}
	return report, errors.Join(errs...)
}

// failed freezes a bucket that no further try can mend, and lets any other rest.
func (c *Certifier) failed(ctx context.Context, b int, l ledger.Bucket, why error) {
	t := &c.tries[b]
	wait := min(minCertifyWait<<min(t.tries, 8), maxCertifyWait)
	if t.tries++; t.tries > manyTries {
		wait = longRest
	}
	t.until = c.h.now().Add(wait)
	if !errors.Is(why, ErrFrozen) || l.Frozen != nil || len(ledger.FreezeErrors(why)) > 0 { // the ledger froze these
		return
	}
	f := ledger.FreezeError{Home: int(c.h.home), Bucket: b, At: l.Position, Kind: ledger.FreezeRedis, Share: -1, Detail: why.Error()}
	if err := c.Ledger.Freeze(ctx, f); err != nil {
		c.Log.Error("freezing a bucket that cannot be certified", "bucket", b, "err", err)
		return
	}
	if c.Frozen != nil {
		c.Frozen(&f)
	}
}

// renew keeps the lease until the function it returns is called.
func (c *Certifier) renew(ctx context.Context, lease string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(c.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.h.control.PExpire(ctx, lease, c.Lease)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Restored certifies a Redis of which somebody knows that it was put back to an older state,
// though nothing shows it: what the ledger does not know as won is quarantined. It is
// `sluice redpacket certify --restored`. nil means all buckets.
func (c *Certifier) Restored(ctx context.Context, buckets []int, why string) (CertifyReport, error) {
	if buckets == nil {
		buckets = c.h.buckets
	}
	for _, b := range buckets {
		if err := c.h.control.Set(ctx, changelog.MendKey(b), "restored by command: "+why, 0).Err(); err != nil {
			return CertifyReport{}, scriptError(err)
		}
	}
	return c.Certify(ctx, buckets)
}

// load loads scripts on the nodes of the buckets given.
func (c *Certifier) load(ctx context.Context, set *script.Set, buckets []int, which func(script.Name) bool) error {
	nodes := map[redis.UniversalClient]bool{}
	for _, b := range buckets {
		node, err := goredis.Owner(ctx, c.h.control, c.h.keys[b].meta)
		if err != nil {
			return fmt.Errorf("finding the node of bucket %d: %w", b, err)
		}
		nodes[node] = true
	}
	for node := range nodes {
		pipe := node.Pipeline()
		for _, n := range script.All() {
			if which(n) {
				pipe.ScriptLoad(ctx, set.Text(n))
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("loading the scripts of epoch %d: %w", set.Epoch, err)
		}
	}
	return nil
}
