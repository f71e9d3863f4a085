package warmup

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/warmup/source"
	"sluice/cachesync/warmup/state"
)

// errDeadline ends the reading when the hour has come.
var errDeadline = errors.New("the deadline has passed")

// run is one warm-up going on.
type run struct {
	cfg     Config
	file    *state.File
	st      state.State
	resumed bool
	targets []*target
	leases  []*state.Lease
	ledger  *ledger
	size    source.Size
	begin   time.Time

	units             atomic.Int64 // of the source, read in the main pass
	rowsAtStart       int64
	pass              atomic.Value // string: what is being done
	rejected          int
	lastBad           string
	readRows, readBad int64 // of the main pass, ahead of what is committed
	alarmed           string
	result            Result
	warmed            time.Time  // when all was written
	saving            sync.Mutex // st is written under it while the observer runs
	speedMu           sync.Mutex
	speed             speed
	host              string
}

// Run does one warm-up. The Result is good also when there is an error, which
// is a *Failure.
func Run(ctx context.Context, cfg Config) (Result, error) {
	r := &run{cfg: cfg.withDefaults()}
	r.host, _ = os.Hostname()
	r.begin = r.cfg.Clock()
	err := r.run(ctx)
	r.finish(err)
	return r.result, err
}

func (r *run) run(ctx context.Context) error {
	if len(r.cfg.Regions) == 0 || r.cfg.Feed == nil || r.cfg.Set == "" || r.cfg.StatePath == "" {
		return fail(ExitUsage, "a set, a source, a region and a state file are needed")
	}
	if !r.cfg.Before.IsZero() && !r.begin.Before(r.cfg.Before) {
		return fail(ExitUsage, "the deadline %s has passed already", r.cfg.Before.Format(time.RFC3339))
	}
	var err error
	if r.file, err = state.Open(r.cfg.StatePath); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	defer r.file.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop(nil)
	for _, region := range r.cfg.Regions {
		t, err := newTarget(region, &r.cfg)
		if err != nil {
			return fail(ExitUsage, "region %s: %w", region.Name, err)
		}
		defer t.c.Close()
		r.targets = append(r.targets, t)
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	if err := r.takeLeases(ctx); err != nil {
		return err
	}
	defer r.freeLeases()
	defer r.total(ctx)
	for _, t := range r.targets {
		background.Go(func() { t.c.Watch(ctx, 0) })
		background.Go(func() { t.pressure(ctx) })
	}
	background.Go(func() { r.renew(ctx, stop) })
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	r.speed.note(r.cfg.Clock(), r.ledger.totals().Rows, 0)
	background.Go(func() { r.observe(ctx, stop) })
	if err := r.warm(ctx); err != nil {
		if ExitOf(err) == ExitLate {
			r.readBack(context.WithoutCancel(ctx)) // tell how far it came
		}
		return err
	}
	r.warmed = r.cfg.Clock()
	return r.prove(ctx)
}

// reach waits a little for every region to answer at all.
func (r *run) reach(ctx context.Context) error {
	for _, t := range r.targets {
		var last error
		for deadline := r.cfg.Clock().Add(5 * time.Second); ; sleep(ctx, 100*time.Millisecond) {
			up := 0
			for _, addr := range t.c.Nodes() {
				if _, err := t.canary(ctx, addr); err != nil {
					last = err
				} else {
					up++
				}
			}
			if up == len(t.c.Nodes()) || up > 0 && r.cfg.Clock().After(deadline) {
				break
			}
			if ctx.Err() != nil {
				return fail(ExitTarget, "%w", ctx.Err())
			}
			if r.cfg.Clock().After(deadline) {
				return fail(ExitTarget, "region %s: no memcached answers: %w", t.Name, last)
			}
		}
	}
	return nil
}

func (r *run) takeLeases(ctx context.Context) error {
	for _, t := range r.targets {
		l := state.NewLease(t.c, r.cfg.Set, r.cfg.StatePath)
		if err := l.Hold(ctx); errors.Is(err, state.ErrHeld) {
			return fail(ExitUsage, "region %s: %w", t.Name, err)
		}
		r.leases = append(r.leases, l)
	}
	return nil
}

func (r *run) freeLeases() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, l := range r.leases {
		l.Free(ctx)
	}
}

func (r *run) renew(ctx context.Context, stop context.CancelCauseFunc) {
	for ctx.Err() == nil {
		sleep(ctx, state.RenewEvery)
		for i, l := range r.leases {
			if err := l.Hold(ctx); errors.Is(err, state.ErrHeld) {
				stop(fail(ExitUsage, "region %s: %w", r.targets[i].Name, err))
			}
		}
	}
}

// cause is why ctx ended, as a Failure; nil while it has not.
func (r *run) cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	err := context.Cause(ctx)
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, errDeadline):
		return fail(ExitLate, "%w: %s", errDeadline, r.progress().line())
	}
	return fail(ExitTarget, "interrupted: run it again to go on from %s", r.cfg.StatePath)
}

// finish completes the result and raises the alarm.
func (r *run) finish(err error) {
	r.result.complete(r, err)
	if err != nil {
		r.alarm(kindOf(ExitOf(err)), err.Error())
	}
	if r.cfg.Watcher != nil {
		p := r.progress()
		p.End = &r.result
		r.cfg.Watcher.Watch(p)
	}
}

func (r *run) alarm(kind, message string) {
	r.cfg.Alarm(Alarm{Set: r.cfg.Set, Kind: kind, Message: message, At: r.cfg.Clock(), Host: r.host})
}
