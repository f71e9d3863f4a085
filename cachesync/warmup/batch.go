package warmup

import (
	"sync"
	"sync/atomic"

	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/proof"
	"sluice/cachesync/warmup/source"
	"sluice/cachesync/warmup/state"
)

// batch is some records on their way to all regions.
type batch struct {
	seq     int64
	items   []plan.Item
	buf     []byte // holds the items' values
	pos     source.Position
	counts  state.Counts // of the rows it was made of
	only    map[*nodeState]bool
	pending atomic.Int32 // regions that are not through with it
}

// ledger commits batches in the order they were read.
type ledger struct {
	mu      sync.Mutex
	next    int64
	waiting map[int64]*batch
	free    chan *batch

	position source.Position
	counts   state.Counts
	sample   *proof.Sample
	dirty    bool
}

func newLedger(batches, sample int) *ledger {
	l := &ledger{waiting: map[int64]*batch{}, free: make(chan *batch, batches), sample: proof.NewSample(sample)}
	for range batches {
		l.free <- &batch{}
	}
	return l
}

// done is called by each region; the last one commits, with all the batches
// behind that only waited for this one.
func (l *ledger) done(b *batch) {
	if b.pending.Add(-1) > 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[b.seq] = b
	for {
		b := l.waiting[l.next]
		if b == nil {
			return
		}
		delete(l.waiting, l.next)
		l.next++
		l.commit(b)
		l.free <- b
	}
}

func (l *ledger) commit(b *batch) {
	if b.only != nil {
		return // a pass over what is counted already
	}
	for i := range b.items {
		l.sample.Offer(b.items[i].Key, b.items[i].Version)
	}
	l.position = b.pos
	l.counts.Rows += b.counts.Rows
	l.counts.Bad += b.counts.Bad
	l.counts.Filtered += b.counts.Filtered
	l.counts.Bytes += b.counts.Bytes
	l.dirty = true
}

// snapshot is the part of the state that the ledger knows.
func (l *ledger) snapshot(s *state.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Position, s.Counts, s.Sample = l.position, l.counts, l.sample.Entries()
	l.dirty = false
}

func (l *ledger) totals() state.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}
