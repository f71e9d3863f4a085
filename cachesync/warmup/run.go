package warmup

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"sluice/cachesync/memcache"
	"sluice/cachesync/warmup/proof"
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
	readRows, readBad int64 // of the main pass, ahead of what is committed
	alarmed           string
	result            Result
	warmed            time.Time // when all was written
	saving            sync.Mutex
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
				ops := []memcache.Op{{Kind: memcache.Get, Key: memcache.CanaryKey}}
				if err := t.c.DoNode(ctx, addr, ops); err != nil {
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

// load takes up a saved position, or begins anew.
func (r *run) load(ctx context.Context) error {
	saved, ok, err := r.file.Load()
	if err != nil {
		return fail(ExitUsage, "%w", err)
	}
	r.ledger = newLedger(2*r.cfg.Workers+4, r.cfg.Sample)
	r.st = state.State{Set: r.cfg.Set, Source: fingerprint(r.cfg.Feed), OpenedAt: r.begin, LastDone: saved.LastDone}
	if !ok || r.cfg.Restart || saved.Done || saved.Set != r.st.Set || saved.Source != r.st.Source {
		return nil
	}
	r.resumed = true
	r.st = saved
	r.ledger.position, r.ledger.counts = saved.Position, saved.Counts
	r.ledger.sample.Restore(saved.Sample)
	r.rowsAtStart, r.readRows, r.readBad = saved.Counts.Rows, saved.Counts.Rows, saved.Counts.Bad
	now := r.canaries(ctx)
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			key := t.Name + " " + addr
			if was := saved.Canaries[key]; was == "" || was != now[key] {
				n.markAgain("lost its data since the last run")
			}
		}
	}
	return nil
}

// canaries are the ids that tell whether a node lost its data.
func (r *run) canaries(ctx context.Context) map[string]string {
	ids := map[string]string{}
	for _, t := range r.targets {
		for _, addr := range t.c.Nodes() {
			ops := []memcache.Op{{Kind: memcache.Get, Key: memcache.CanaryKey}}
			if t.c.DoNode(ctx, addr, ops); ops[0].Err == nil {
				ids[t.Name+" "+addr] = string(ops[0].Value)
			}
		}
	}
	return ids
}

func (r *run) save(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	if ctx.Err() != nil { // canaries could not be read: better the last good state
		return ctx.Err()
	}
	r.ledger.snapshot(&r.st)
	r.st.Canaries, r.st.SavedAt = r.canaries(ctx), r.cfg.Clock()
	// A node that must be warmed again must be so after a restart too.
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			if n.again {
				delete(r.st.Canaries, t.Name+" "+addr)
			}
			n.mu.Unlock()
		}
	}
	return r.file.Save(r.st)
}

// warm runs the main pass, then passes for the nodes that lost their data.
func (r *run) warm(ctx context.Context) error {
	r.pass.Store("")
	// The observer needs a position on disk before the first kill, too.
	if err := r.save(ctx); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if err := r.read(ctx, r.ledger.position, nil); err != nil {
		return err
	}
	if r.cfg.Expect > 0 && r.ledger.totals().Rows < r.cfg.Expect {
		return r.saved(ctx, fail(ExitSource, "%s ended early: %d rows instead of at least %d", r.cfg.Feed.Name(), r.ledger.totals().Rows, r.cfg.Expect))
	}
	if c := r.ledger.totals(); c.Rows == 0 {
		return fail(ExitSource, "%s is empty: no row read", r.cfg.Feed.Name())
	} else if c.Rows == c.Bad+c.Filtered {
		return fail(ExitSource, "%s has no usable row: %d bad, %d left out by the filter", r.cfg.Feed.Name(), c.Bad, c.Filtered)
	}
	return r.repeat(ctx)
}

func (r *run) saved(ctx context.Context, err error) error {
	r.save(ctx)
	return err
}

// repeat warms nodes again until none needs it, or none can be helped.
func (r *run) repeat(ctx context.Context) error {
	waitUntil := r.cfg.Clock().Add(r.cfg.WaitNode)
	for {
		only, names, down := r.needy(ctx)
		if len(only) == 0 && down == 0 {
			return nil
		}
		if !r.cfg.Feed.Repeatable() {
			r.cfg.Log.Warn("warm: nodes lost data that stdin cannot give again", "nodes", names)
			return nil
		}
		if len(only) == 0 {
			if ctx.Err() != nil || r.cfg.Clock().After(waitUntil) {
				return r.cause(ctx)
			}
			r.pass.Store("waiting for a node")
			sleep(ctx, 200*time.Millisecond)
			continue
		}
		r.pass.Store("again: " + names)
		r.cfg.Log.Info("warm: nodes are warmed again", "nodes", names)
		if err := r.read(ctx, source.Position{}, only); err != nil {
			return err
		}
	}
}

// needy are the nodes to be warmed again that answer, and how many do not.
func (r *run) needy(ctx context.Context) (only map[*nodeState]bool, names string, down int) {
	only = map[*nodeState]bool{}
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			again := n.again || n.lost
			n.mu.Unlock()
			if !again {
				continue
			}
			ops := []memcache.Op{{Kind: memcache.Get, Key: memcache.CanaryKey}}
			if t.c.DoNode(ctx, addr, ops) != nil {
				down++
				continue
			}
			n.mu.Lock()
			why := n.why
			if n.lost {
				t.lost.Add(-1)
			}
			n.again, n.lost = false, false
			n.mu.Unlock()
			only[n] = true
			if names != "" {
				names += ", "
			}
			names += t.Name + " " + addr
			if why != "" {
				names += " (" + why + ")"
			}
			r.result.Again = append(r.result.Again, t.Name+" "+addr+": "+why)
		}
	}
	return only, names, down
}

// read sends everything behind pos to all regions and waits until it is in.
func (r *run) read(ctx context.Context, pos source.Position, only map[*nodeState]bool) error {
	in, err := r.cfg.Feed.Open(ctx, pos, r.st.OpenedAt)
	if err != nil {
		return sourceFailure(err)
	}
	defer in.Close()
	if only == nil {
		// What an earlier run read does not count as this one's speed.
		r.units.Store(in.Done())
		r.speedMu.Lock()
		r.speed.units = in.Done()
		r.speedMu.Unlock()
	}
	var workers sync.WaitGroup
	for _, t := range r.targets {
		t.in = make(chan *batch)
		for range r.cfg.Workers {
			workers.Go(func() { t.work(ctx, r.ledger.done) })
		}
	}
	r.ledger.next = 0
	err = r.feed(ctx, in, only)
	for _, t := range r.targets {
		close(t.in)
	}
	workers.Wait()
	r.refill()
	if cerr := r.cause(ctx); cerr != nil {
		err = cerr
	}
	if err != nil {
		return r.saved(context.WithoutCancel(ctx), err)
	}
	return r.saved(ctx, nil)
}

// refill puts back the batches that a canceled pass left uncommitted.
func (r *run) refill() {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.waiting)
	for len(l.free) < cap(l.free) {
		l.free <- &batch{}
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

// feed reads batches until the source ends.
func (r *run) feed(ctx context.Context, in FeedReader, only map[*nodeState]bool) error {
	limit := rate.NewLimiter(rate.Inf, r.cfg.Batch)
	if r.cfg.SourceRate > 0 {
		limit.SetLimit(rate.Limit(r.cfg.SourceRate))
	}
	for seq := int64(0); ; seq++ {
		var b *batch
		select {
		case b = <-r.ledger.free:
		case <-ctx.Done():
			return nil
		}
		b.seq, b.only, b.counts = seq, only, state.Counts{}
		clear(b.items)
		b.items, b.buf = b.items[:0], b.buf[:0]
		b.pending.Store(int32(len(r.targets)))
		end, err := r.fillBatch(in, b)
		if err != nil {
			r.ledger.free <- b
			return err
		}
		if only == nil {
			r.units.Store(in.Done())
			r.readRows += b.counts.Rows
			r.readBad += b.counts.Bad
		}
		if limit.WaitN(ctx, min(int(b.counts.Rows), r.cfg.Batch)) != nil {
			return nil
		}
		for _, t := range r.targets {
			select {
			case t.in <- b:
			case <-ctx.Done():
				return nil
			}
		}
		if end {
			return nil
		}
	}
}

// batchBytes ends a batch of large records early, so that memory stays constant.
const batchBytes = 256 << 10

func (r *run) fillBatch(in FeedReader, b *batch) (end bool, err error) {
	for int(b.counts.Rows) < r.cfg.Batch && len(b.buf) < batchBytes {
		item, buf, err := in.Next(b.buf)
		b.buf = buf
		if err == io.EOF {
			end = true
			break
		}
		bad, filtered := skipped(err)
		switch {
		case err == nil:
			b.items = append(b.items, item)
			b.counts.Bytes += int64(len(item.Value))
		case bad != nil:
			b.counts.Bad++
			if b.only == nil {
				if err := r.reject(bad, b); err != nil {
					return false, err
				}
			}
		case filtered:
			b.counts.Filtered++
		default:
			return false, sourceFailure(err)
		}
		b.counts.Rows++
	}
	b.pos = in.Position()
	return end, nil
}

// reject notes a bad row, and fails the run when there are too many of them.
func (r *run) reject(bad *source.BadRow, b *batch) error {
	r.rejected++
	if r.rejected <= 5 {
		r.cfg.Log.Warn("warm: bad row", "where", bad.Error())
		r.result.FirstBad = append(r.result.FirstBad, bad.Error())
	}
	if r.cfg.Rejects != nil && r.rejected <= r.cfg.MaxKept {
		line, _ := json.Marshal(struct {
			File   string `json:"file"`
			Line   int64  `json:"line"`
			Reason string `json:"reason"`
			Row    string `json:"row"`
		}{bad.File, bad.Line, bad.Reason, string(bad.Row)})
		r.cfg.Rejects.Write(append(line, '\n'))
	}
	rows, n := r.readRows+b.counts.Rows+1, r.readBad+b.counts.Bad
	// The fraction means something from a few rows on.
	if r.cfg.MaxBad < 0 || rows >= 100 && float64(n) > r.cfg.MaxBad*float64(rows) {
		return fail(ExitSource, "%d of %d rows are bad, more than %.2f %%; the last: %w", n, rows, 100*max(r.cfg.MaxBad, 0), bad)
	}
	return nil
}

func sourceFailure(err error) error {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return fail(ExitSource, "%w", err)
}

// readBack reads the sample from every region.
func (r *run) readBack(ctx context.Context) error {
	r.pass.Store("proving")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	sample := r.ledger.sample.Entries()
	for _, t := range r.targets {
		c, err := proof.ReadBack(ctx, t.c, sample)
		if err != nil {
			return err
		}
		r.regionResult(t).Coverage = &c
	}
	return nil
}

// prove judges what readBack found.
func (r *run) prove(ctx context.Context) error {
	if err := r.readBack(ctx); err != nil {
		if cerr := r.cause(ctx); cerr != nil {
			return cerr
		}
		return fail(ExitTarget, "the proof could not be read: %w", err)
	}
	var worst *Failure
	for _, t := range r.targets {
		c := *r.regionResult(t).Coverage
		// Of a set so small that it was read whole, nothing is left to doubt.
		low, _ := c.Interval()
		if n, _ := r.ledger.sample.Distinct(); float64(c.Read) >= n {
			low = c.Fraction()
		}
		if low < r.cfg.Coverage {
			worst = fail(ExitCoverage, "region %s: %s of the sampled keys are there, at least %.2f %% must be", t.Name, c, 100*r.cfg.Coverage)
		}
	}
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			again, why := n.again || n.lost, n.why
			n.mu.Unlock()
			if again && (worst != nil || r.cfg.Feed.Repeatable()) {
				worst = fail(ExitTarget, "region %s: node %s %s and could not be warmed again", t.Name, addr, why)
			}
		}
	}
	if worst != nil {
		return r.saved(ctx, worst)
	}
	if !r.cfg.Before.IsZero() && r.warmed.After(r.cfg.Before) {
		r.st.Done, r.st.LastDone = true, r.st.OpenedAt
		return r.saved(ctx, fail(ExitLate, "done and proved, but %s after the deadline", r.warmed.Sub(r.cfg.Before).Round(time.Second)))
	}
	r.st.Done, r.st.LastDone = true, r.st.OpenedAt
	if err := r.save(ctx); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if r.cfg.Stay > 0 {
		return r.stay(ctx)
	}
	return nil
}

// stay keeps the set warm: nodes that lose their data are warmed again.
func (r *run) stay(ctx context.Context) error {
	until := r.cfg.Clock().Add(r.cfg.Stay)
	for r.cfg.Clock().Before(until) && ctx.Err() == nil {
		r.pass.Store("staying until " + until.Format(time.TimeOnly))
		sleep(ctx, 500*time.Millisecond)
		only, names, _ := r.needy(ctx)
		if len(only) == 0 {
			continue
		}
		r.pass.Store("again: " + names)
		if err := r.read(ctx, source.Position{}, only); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// finish completes the result and raises the alarm.
func (r *run) finish(err error) {
	r.result.complete(r, err)
	if err != nil {
		kinds := map[Exit]string{ExitUsage: "refused", ExitLate: "late", ExitCoverage: "coverage", ExitSource: "source", ExitTarget: "target"}
		r.alarm(kinds[ExitOf(err)], err.Error())
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
