package apply

import (
	"context"
	"slices"
	"time"

	"sluice/cachesync/changelog"
)

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

// Malformed takes an entry that nobody can read, at its place in the log: every region meets it, and
// were it a gap, all would join again at once, each with an empty cache.
func (a *Applier) Malformed(bucket int, id changelog.ID, err error) {
	a.stats.malformed.Add(1)
	i := a.place[bucket]
	a.mu.Lock()
	next := a.admit(i, id)
	if next {
		a.cur.changes++
		a.read[i], a.cur.last[i] = id, id
		a.stats.entries.Add(1)
	}
	a.mu.Unlock()
	if !next {
		return
	}
	a.cfg.Log.Error("malformed entry in the change log: its home sends the bucket again",
		"source", a.cfg.Source, "bucket", bucket, "id", id.String(), "err", err)
	if a.cfg.Unreadable != nil {
		a.cfg.Unreadable(bucket)
	}
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
