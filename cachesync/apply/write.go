package apply

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// hotChanges and hotKeys: a key is hot when it changed so often in one turn and is among so
// many that did; hot keys are set in every mode, since a refill of them would be a herd.
const (
	hotChanges = 8
	hotKeys    = 128
)

// writers write the batches of one turn, whose keys are all different: while memcached works on
// one batch, the next is made.
const writers = 2

// writeAll takes turns with the reader: whatever was read while the last turn was being
// written is the next one, so batches grow with the load and are small without it.
func (a *Applier) writeAll(ctx context.Context) {
	spare := newPending(len(a.cfg.Buckets))
	var all [writers]Batch
	for i := range all {
		all[i].Now = a.cfg.Now
	}
	for {
		turn := a.take(ctx, spare)
		if turn == nil {
			return
		}
		a.write(ctx, &all, turn)
		if ctx.Err() != nil {
			return // not written whole: its positions must not count
		}
		a.done(turn)
		var sum Counts
		for i := range all {
			sum.add(all[i].Counts)
		}
		a.stats.mu.Lock()
		a.stats.counts = sum
		a.stats.mu.Unlock()
		turn.reset()
		spare = turn
	}
}

// take waits until there is something to write, gathers if a mode says so, and swaps.
func (a *Applier) take(ctx context.Context, spare *pending) *pending {
	idle := time.NewTicker(100 * time.Millisecond)
	defer idle.Stop()
	for {
		a.unpark(ctx)
		if p := a.tryTake(spare); p != nil {
			select {
			case a.space <- struct{}{}:
			default:
			}
			return p
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-idle.C:
		}
	}
}

// tryTake swaps if it is time to write. Until the applier has caught up once it gathers in
// every mode, for as long as there is room: it may be repeating changes, and a key whose newest value was evicted must not
// show the older ones one after another.
func (a *Applier) tryTake(spare *pending) *pending {
	now := a.cfg.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	mode := a.judge(now)
	p := a.cur
	if p.empty() {
		if a.settled && a.again.IsZero() {
			a.hold = false
		}
		return nil
	}
	if a.since.IsZero() {
		a.since = now
	}
	gathered := a.caughtUp || p.bytes >= a.cfg.MaxPending || a.settled && now.Sub(a.since) >= a.cfg.Gather
	if (mode != Set || !a.settled) && !gathered {
		return nil
	}
	a.cur, a.since = spare, time.Time{}
	if !a.took {
		a.took = true
		if !now.Before(a.again.Add(-secondPass + staleAfter + 300*time.Millisecond)) {
			a.again = time.Time{}
		}
	}
	p.closes, p.pass = a.settled && a.again.IsZero(), a.pass
	p.stale = now.Sub(a.asOf) > staleAfter
	return p
}

// staleAfter is how old the last answer of the source may be when what it brought is written.
// Beyond it this process was paused, or cut off with changes in its hands: others may have
// moved on, so the keys are only asked to be refilled. So are those behind a batch that took
// longer than that.
const staleAfter = 1200 * time.Millisecond

// judge gives every bucket its lag and its mode, and returns the highest one that has
// something pending. The caller holds mu.
func (a *Applier) judge(now time.Time) Mode {
	s := a.cfg.Situation()
	highest := Set
	for i := range a.modes {
		var lag time.Duration
		if ms := a.cur.oldest[i]; ms != 0 {
			lag = a.clock.lag(ms, now)
		}
		if m := a.modes[i].Next(lag, s, now); a.cur.oldest[i] != 0 {
			highest = max(highest, m)
		}
	}
	return highest
}

// write brings one turn into memcached, batch by batch, each until it is whole.
func (a *Applier) write(ctx context.Context, all *[writers]Batch, p *pending) {
	a.stats.rounds.Add(1)
	now := a.cfg.Now()
	t := &turn{pending: p, size: a.cfg.BatchSize}
	if len(p.writes) <= t.size {
		a.writeBatches(ctx, &all[0], t, now)
		return
	}
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { a.writeBatches(ctx, &all[i], t, now) })
	}
	wg.Wait()
}

// turn is a pending being written.
type turn struct {
	*pending
	size  int
	from  atomic.Int64 // the next batch begins here
	stale atomic.Bool  // what is left is too old to be written as values
}

func (t *turn) next() (from, to int) {
	to = int(t.from.Add(int64(t.size)))
	return min(to-t.size, len(t.writes)), min(to, len(t.writes))
}

// writeBatches is one writer's part of a turn.
func (a *Applier) writeBatches(ctx context.Context, w *Batch, t *turn, last time.Time) {
	for from, to := t.next(); from < to && ctx.Err() == nil; from, to = t.next() {
		batch, now := t.writes[from:to], a.cfg.Now()
		a.transform(t.pending, from, to, now)
		if now.Sub(last) > staleAfter { // paused, or held up by a node, in the batch before: see staleAfter
			t.stale.Store(true)
		}
		last = now
		if t.stale.Load() {
			for i := range batch {
				batch[i].Record = record.Unset(batch[i].Record)
			}
		}
		a.insist(ctx, w, batch)
		a.tell(batch, a.cfg.Now())
	}
}

// tell counts what was written, and lets copies in processes know.
func (a *Applier) tell(batch []Write, now time.Time) {
	a.stats.mu.Lock()
	for i := range batch {
		if batch[i].Outcome != Stored {
			continue // repeated: it was visible before
		}
		a.stats.lags.record(a.clock.lag(batch[i].Record.CommitMS, now))
	}
	a.stats.mu.Unlock()
	if a.cfg.Applied == nil {
		return
	}
	for i := range batch {
		a.cfg.Applied(batch[i].Key, batch[i].Record.Version)
	}
}

// transform makes tombstones of what may not or need not be written as a value, when it is about to be: a
// drain that begins while a long turn is being written ends INVALIDATE for the rest of it.
func (a *Applier) transform(p *pending, from, to int, now time.Time) {
	invalidates := a.cfg.Situation().invalidates()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := from; i < to; i++ {
		w := &p.writes[i]
		switch {
		case w.Record.Refill():
		case p.stale, a.clock.lag(w.Record.CommitMS, now) >= record.LateSeconds*time.Second:
			w.Record = record.Unset(w.Record)
			a.stats.late.Add(1)
		case invalidates && a.modes[w.at].Mode() == Invalidate:
			if w.Record.Tombstone() {
				continue // a deletion is as small as what would replace it
			}
			if p.hot == 0 {
				p.hot = hotFrom(p.counts)
			}
			if p.counts[i] >= p.hot || w.Record.Flags&record.FlagHot != 0 {
				a.stats.hot.Add(1)
				continue
			}
			w.Record = record.Unset(w.Record)
			a.stats.invalidated.Add(1)
		}
	}
}

// hotFrom is the number of changes from which a key is among the hottest.
func hotFrom(counts []uint16) uint16 {
	var how [1024]int
	for _, c := range counts {
		how[min(c, 1023)]++
	}
	for c, n := 1023, 0; c >= hotChanges; c-- {
		if n += how[c]; n > hotKeys {
			return uint16(c + 1)
		}
	}
	return hotChanges
}

// insist writes a batch until all of it is there, or parked. A value that memcached will never take
// becomes a tombstone instead, so that no older one stays behind.
func (a *Applier) insist(ctx context.Context, by *Batch, batch []Write) {
	left := batch
	began := a.cfg.Now()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if by.Apply(ctx, a.cfg.Store, left, began) == nil || ctx.Err() != nil {
			return
		}
		var again, missed []Write
		for i := range left {
			w := left[i]
			switch {
			case w.Err == nil:
			case w.Outcome == Skipped:
				missed = append(missed, w)
			case permanent(w.Err):
				a.stats.refused.Add(1)
				if !w.Record.Tombstone() && !errors.Is(w.Err, memcache.ErrMalformedKey) {
					w.Record = record.Unset(w.Record)
					again = append(again, w)
				}
			default:
				again = append(again, w)
			}
		}
		a.park(missed, a.cfg.Now())
		if len(again) == 0 {
			return
		}
		a.stats.writeErrors.Add(int64(len(again)))
		left = again
		sleep(ctx, wait)
	}
}

// done moves the positions behind what was written.
func (a *Applier) done(p *pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, id := range p.last {
		if id.After(a.applied[i]) {
			a.applied[i] = id
		}
	}
	if p.closes && p.pass == a.pass {
		a.hold = false
	}
	a.release()
}
