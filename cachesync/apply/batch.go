package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Store is one region's memcached: memcache.Client, or the simulator's.
type Store interface {
	Do(ctx context.Context, ops []memcache.Op) error
}

// ErrContended: others kept writing the key between our read and our cas.
var ErrContended = errors.New("apply: key is written by others all the time")

// Outcome is what became of one Write.
type Outcome uint8

// Outcomes. Pending means that it is not decided (or failed, then Err says why).
const (
	Pending   Outcome = iota
	Stored            // now the record is there
	Kept              // what is there is as new or newer: Found
	Skipped           // the node is down
	Withdrawn         // stored too late to be trusted; the key asks for a refill
)

// Write is one record to be written, and what became of it.
type Write struct {
	Key    string
	Record record.Record
	Expiry int64 // Unix seconds, 0 = none
	Again  bool  // emitted again by anti-entropy: what has to be written then was wrong here
	at     int16 // its bucket's place among the applier's

	Outcome  Outcome
	Found    record.Record // with Kept: what is there; valid until the Batch's next Plan
	Err      error
	Repaired bool // what was there was no record
	Older    bool // what was there, and had to go, was an older record
}

// step is the Op that a Write waits for.
type step uint8

const (
	stepDone step = iota
	stepGets
	stepAdd
	stepCAS
	stepDoubt    // gets, to see whether our write is still what is there
	stepWithdraw // cas to a tombstone that asks for a refill
)

// tries bounds how often one Write may be overtaken.
const tries = 32

// DefaultPatience is the Patience of a Batch: readers may see a key go backwards for a second
// after an eviction, so nothing may be written that was current longer ago than that.
const DefaultPatience = time.Second

// Batch writes many records. The zero Batch is ready for Plan.
type Batch struct {
	// Patience is how long after Plan's time a write may still be trusted. A process that
	// was paused (SIGSTOP) wakes up in the past: what is left to write then becomes a
	// tombstone that asks for a refill, and what it stored meanwhile is withdrawn. Zero
	// value means DefaultPatience.
	Patience time.Duration
	// AddFirst tries add before reading, for keys that are probably not there. Wins always
	// are written so.
	AddFirst bool
	// Now is the clock of Apply; nil means time.Now.
	Now func() time.Time

	writes []Write
	steps  []step
	tries  []uint8
	cas    []uint64 // of what was read, until the write is decided
	spans  []span
	arena  []byte
	ops    []memcache.Op
	at     []int // ops[i] belongs to writes[at[i]]
	nowSec int64

	// Counts since the Batch was made.
	Counts Counts
}

// Counts of a Batch.
type Counts struct {
	Gets, Adds, CAS   int64 // operations sent
	Stored, Kept      int64
	Conflicts, Failed int64
	Withdrawn         int64
	Skipped, Repaired int64
	Bytes             int64 // of records in adds and cas

	// Of what anti-entropy sent: as new or newer here; missing (evicted, say) or no record and
	// now written; an older one and now right, which is what anti-entropy is for.
	AgainEqual, AgainMissing, AgainOlder int64
}

// again counts a decided Write of anti-entropy.
func (c *Counts) again(w *Write) {
	switch {
	case !w.Again:
	case w.Older:
		c.AgainOlder++
	case w.Outcome == Kept, w.Record.Tombstone(): // what is deleted may well be missing
		c.AgainEqual++
	default:
		c.AgainMissing++
	}
}

// add counts another Batch's in.
func (c *Counts) add(o Counts) {
	c.Gets, c.Adds, c.CAS = c.Gets+o.Gets, c.Adds+o.Adds, c.CAS+o.CAS
	c.Stored, c.Kept = c.Stored+o.Stored, c.Kept+o.Kept
	c.Conflicts, c.Failed = c.Conflicts+o.Conflicts, c.Failed+o.Failed
	c.Withdrawn, c.Skipped = c.Withdrawn+o.Withdrawn, c.Skipped+o.Skipped
	c.Repaired, c.Bytes = c.Repaired+o.Repaired, c.Bytes+o.Bytes
	c.AgainEqual, c.AgainMissing = c.AgainEqual+o.AgainEqual, c.AgainMissing+o.AgainMissing
	c.AgainOlder += o.AgainOlder
}

// Writes is the number of operations that could change memcached.
func (c Counts) Writes() int64 { return c.Adds + c.CAS }

type span struct{ from, to int }

// Plan takes the writes to be done; their results appear in place. Records that expired
// before now are not written but dropped from the cache as tombstones.
func (b *Batch) Plan(writes []Write, now time.Time) {
	b.writes, b.nowSec = writes, now.Unix()
	b.steps, b.tries, b.cas, b.spans = b.steps[:0], b.tries[:0], b.cas[:0], b.spans[:0]
	b.arena = b.arena[:0]
	for i := range writes {
		w := &writes[i]
		w.Outcome, w.Err, w.Found, w.Repaired, w.Older = Pending, nil, record.Record{}, false, false
		if w.Expiry != 0 && w.Expiry <= b.nowSec && !w.Record.Tombstone() {
			w.Record = record.Unset(w.Record)
		}
		from := len(b.arena)
		b.arena = w.Record.Append(b.arena)
		b.spans = append(b.spans, span{from, len(b.arena)})
		b.tries = append(b.tries, 0)
		b.cas = append(b.cas, 0)
		if b.AddFirst || w.Record.Type == record.TypeWin {
			b.steps = append(b.steps, stepAdd)
		} else {
			b.steps = append(b.steps, stepGets)
		}
	}
}

// Ops are the operations to run next, none when all writes are decided. They must be run
// (or given an error each), then Took called.
func (b *Batch) Ops() []memcache.Op {
	b.at = b.at[:0]
	n := 0
	for i, s := range b.steps {
		if s == stepDone {
			continue
		}
		if n == len(b.ops) {
			b.ops = append(b.ops, memcache.Op{})
		}
		op := &b.ops[n]
		*op = memcache.Op{Key: b.writes[i].Key}
		switch s {
		case stepGets:
			op.Kind = memcache.Gets
			b.Counts.Gets++
		case stepAdd:
			op.Kind = memcache.Add
			b.Counts.Adds++
		case stepDoubt:
			op.Kind = memcache.Gets
			b.Counts.Gets++
		case stepCAS, stepWithdraw:
			op.Kind, op.CAS = memcache.CAS, b.cas[i]
			b.Counts.CAS++
		}
		if s != stepGets && s != stepDoubt {
			op.Value = b.arena[b.spans[i].from:b.spans[i].to]
			op.Expiry = expiry(&b.writes[i])
			b.Counts.Bytes += int64(len(op.Value))
		}
		b.at = append(b.at, i)
		n++
	}
	return b.ops[:n]
}

// Took looks at the results of the Ops given out last.
func (b *Batch) Took() {
	for n, i := range b.at {
		b.took(i, &b.ops[n])
	}
}

func (b *Batch) took(i int, op *memcache.Op) {
	w := &b.writes[i]
	if op.Err != nil && !errors.Is(op.Err, memcache.ErrCacheMiss) &&
		!errors.Is(op.Err, memcache.ErrNotStored) && !errors.Is(op.Err, memcache.ErrCASConflict) {
		b.fail(i, op.Err)
		return
	}
	switch b.steps[i] {
	case stepDoubt, stepWithdraw:
		b.doubted(i, op)
	case stepGets:
		if op.Err != nil {
			b.steps[i] = stepAdd
			return
		}
		old, err := record.Parse(op.Value)
		if err != nil {
			w.Repaired = true
			b.Counts.Repaired++
		} else if !record.Wins(old, w.Record) {
			old.Payload = append([]byte(nil), old.Payload...)
			w.Outcome, w.Found = Kept, old
			b.steps[i] = stepDone
			b.Counts.Kept++
			b.Counts.again(w)
			return
		} else {
			w.Older = !old.Refill()
		}
		b.cas[i] = op.CAS
		b.steps[i] = stepCAS
	default: // add or cas
		if op.Err == nil {
			w.Outcome = Stored
			b.steps[i] = stepDone
			b.Counts.Stored++
			b.Counts.again(w)
			return
		}
		if b.steps[i] == stepCAS {
			b.Counts.Conflicts++
		}
		if b.tries[i]++; b.tries[i] >= tries {
			b.fail(i, ErrContended)
			return
		}
		b.steps[i] = stepGets
		if errors.Is(op.Err, memcache.ErrCacheMiss) {
			b.steps[i] = stepAdd
		}
	}
}

// Withhold tells, before Ops, that Plan was too long ago: what is not decided yet is not
// written as a value any more.
func (b *Batch) Withhold() {
	for i, s := range b.steps {
		if w := &b.writes[i]; s >= stepGets && s <= stepCAS && !w.Record.Refill() {
			b.unset(i)
			b.Counts.Withdrawn++
		}
	}
}

func (b *Batch) unset(i int) {
	w := &b.writes[i]
	w.Record = record.Unset(w.Record)
	from := len(b.arena)
	b.arena = w.Record.Append(b.arena)
	b.spans[i] = span{from, len(b.arena)}
}

// Doubt tells, in place of Took's verdict and right after it, that the Ops were given out too
// long ago: whatever they stored is withdrawn unless something newer took its place.
func (b *Batch) Doubt() {
	for _, i := range b.at {
		if w := &b.writes[i]; w.Outcome == Stored && !w.Record.Refill() && b.steps[i] == stepDone {
			b.steps[i] = stepDoubt
		}
	}
}

func (b *Batch) doubted(i int, op *memcache.Op) {
	w := &b.writes[i]
	w.Outcome = Withdrawn
	if b.steps[i] == stepWithdraw {
		b.steps[i] = stepDone
		if errors.Is(op.Err, memcache.ErrCASConflict) {
			b.steps[i] = stepDoubt
		}
		return
	}
	b.steps[i] = stepDone
	old, err := record.Parse(op.Value)
	if op.Err != nil || err != nil || old.Version != w.Record.Version || old.Refill() {
		return
	}
	b.unset(i)
	b.cas[i] = op.CAS
	b.steps[i] = stepWithdraw
	b.Counts.Withdrawn++
}

func (b *Batch) fail(i int, err error) {
	w := &b.writes[i]
	b.steps[i] = stepDone
	if errors.Is(err, memcache.ErrNodeDown) {
		w.Outcome = Skipped
		b.Counts.Skipped++
	}
	w.Err = fmt.Errorf("apply: write %s: %w", w.Key, err)
	b.Counts.Failed++
}

// expiry gives tombstones their own, and leaves the rest as the home said.
func expiry(w *Write) int32 {
	if w.Record.Tombstone() {
		return record.TombstoneSeconds
	}
	return int32(min(w.Expiry, 1<<31-1))
}

// Apply writes all records and returns when each is decided. now is the time at which they
// were known to be current: Patience counts from there. The error joins nothing: it is
// the first failed write's, and each failed Write has its own.
func (b *Batch) Apply(ctx context.Context, store Store, writes []Write, now time.Time) error {
	clock, patience := b.Now, b.Patience
	if clock == nil {
		clock = time.Now
	}
	if patience == 0 {
		patience = DefaultPatience
	}
	b.Plan(writes, now)
	for {
		if clock().Sub(now) > patience {
			b.Withhold()
		}
		ops := b.Ops()
		if len(ops) == 0 {
			break
		}
		if err := store.Do(ctx, ops); err != nil {
			for i := range ops {
				if ops[i].Err == nil && ctx.Err() != nil {
					ops[i].Err = err
				}
			}
		}
		b.Took()
		if clock().Sub(now) > patience {
			b.Doubt()
		}
	}
	for i := range writes {
		if err := writes[i].Err; err != nil {
			return err
		}
	}
	return nil
}
