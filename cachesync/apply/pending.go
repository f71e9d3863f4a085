package apply

import (
	"slices"

	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
)

// pending gathers changes that were read and not yet written: the newest per key. Its memory
// is bounded by the bytes the applier lets it take. Two of them take turns.
type pending struct {
	index  map[string]int32
	writes []Write
	counts []uint16
	arena  []byte
	last   []changelog.ID // per bucket: position once all is written
	oldest []int64        // per bucket: commit time of the oldest change, 0 = none

	changes int  // before collapsing
	stale   bool // too old to be written as values
	closes  bool // with it the second pass, or what a Rewind repeats, is written
	pass    int  // the Applier's, when it was taken
	bytes   int
	hot     uint16 // changes from which a key is among the hottest; 0: not reckoned yet

	restored bool // with what was parked
}

func newPending(buckets int) *pending {
	return &pending{index: map[string]int32{}, last: make([]changelog.ID, buckets), oldest: make([]int64, buckets)}
}

// add takes one change of the bucket at place at; it keeps no reference to c.
func (p *pending) add(at int, c *changelog.Change) {
	p.changes++
	if p.oldest[at] == 0 || c.Record.CommitMS < p.oldest[at] {
		p.oldest[at] = c.Record.CommitMS
	}
	i, ok := p.index[c.Key]
	if !ok {
		i = int32(len(p.writes))
		p.index[c.Key] = i
		if len(p.writes) == cap(p.writes) { // append would grow a large one by a quarter, and copy it again and again
			p.writes = slices.Grow(p.writes, max(64, len(p.writes)))
		}
		p.writes = append(p.writes, Write{Key: c.Key})
		p.counts = append(p.counts, 0)
		p.bytes += len(c.Key) + 200
	} else if !record.Wins(p.writes[i].Record, c.Record) {
		return
	}
	w := &p.writes[i]
	w.at = int16(at)
	if p.counts[i] < 1<<16-1 {
		p.counts[i]++
	}
	old := w.Record.Payload
	w.Record, w.Expiry, w.Again = c.Record, c.Expiry, c.Again
	if n := len(c.Record.Payload); n <= cap(old) { // the key's own place is large enough
		w.Record.Payload = append(old[:0], c.Record.Payload...)
		return
	}
	from := len(p.arena)
	if from+len(c.Record.Payload) > cap(p.arena) {
		// A new piece; the writes keep the old one alive.
		p.arena = make([]byte, 0, max(256<<10, len(c.Record.Payload)))
		from = 0
	}
	p.arena = append(p.arena, c.Record.Payload...)
	w.Record.Payload = p.arena[from:len(p.arena):len(p.arena)]
	p.bytes += len(c.Record.Payload)
}

func (p *pending) empty() bool { return p.changes == 0 }

// reset empties p for its next turn; after a large backlog it gives the memory back.
func (p *pending) reset() {
	if len(p.writes) > 1<<16 {
		*p = *newPending(len(p.last))
		return
	}
	clear(p.index)
	clear(p.writes)
	p.writes, p.counts = p.writes[:0], p.counts[:0]
	if cap(p.arena) > 1<<20 {
		p.arena = nil
	}
	p.arena = p.arena[:0]
	clear(p.oldest)
	clear(p.last)
	p.changes, p.bytes, p.stale, p.closes, p.hot, p.restored = 0, 0, false, false, 0, false
}
