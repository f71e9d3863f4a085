package apply

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// A node that is down holds up no other. What it cannot take is parked, the newest of each key, and
// goes into a turn again when it answers: then it has what it had, and missed nothing. What is parked
// is not written, so the position stays behind it, and a process that takes over reads it again.
//
// A node that is away for longer than parkFor, or misses more than can be written in the second for
// which readers may see the past after its return, is given up: its client must empty it when it is
// back, and what it misses until then is left out.
const (
	parkFor   = 10 * time.Second
	parkKeys  = 1 << 16
	parkBytes = 32 << 20

	// lookEvery is how often a node that missed writes is asked whether it is back.
	lookEvery = 50 * time.Millisecond
)

// lot is what is parked for one node.
type lot struct {
	since  time.Time
	probe  string // a key of the node
	index  map[string]int
	writes []Write
	bytes  int
	gone   bool // given up
}

// tiers is a Store of several nodes (*memcache.Client); another Store counts as one, that is never emptied.
type tiers interface {
	Owner(key string) (string, error)
	MustEmpty(node string)
}

func (a *Applier) owner(key string) string {
	if c, ok := a.cfg.Store.(tiers); ok {
		if node, err := c.Owner(key); err == nil {
			return node
		}
	}
	return ""
}

// park keeps writes that nodes which are down have missed.
func (a *Applier) park(missed []Write, now time.Time) {
	if len(missed) == 0 {
		return
	}
	var gone []string
	a.mu.Lock()
	for i := range missed {
		w := &missed[i]
		node := a.owner(w.Key)
		l := a.parked[node]
		if l == nil {
			if a.parkedFrom == nil {
				a.parkedFrom = slices.Clone(a.behind())
			}
			l = &lot{since: now, probe: w.Key, index: map[string]int{}}
			a.parked[node] = l
		}
		if l.add(w); l.over(now) && !slices.Contains(gone, node) {
			gone = append(gone, node)
		}
	}
	a.mu.Unlock()
	a.giveUp(gone)
}

// over reports that the node of l must be emptied.
func (l *lot) over(now time.Time) bool {
	return l.gone || now.Sub(l.since) >= parkFor || len(l.writes) > parkKeys || l.bytes > parkBytes
}

// add keeps a copy of w, unless something newer is there.
func (l *lot) add(w *Write) {
	if l.gone {
		return
	}
	i, ok := l.index[w.Key]
	if !ok {
		i = len(l.writes)
		l.index[w.Key] = i
		l.writes = append(l.writes, Write{})
		l.bytes += len(w.Key)
	} else if !record.Wins(l.writes[i].Record, w.Record) {
		return
	}
	l.bytes += len(w.Record.Payload) - len(l.writes[i].Record.Payload)
	l.writes[i] = Write{Key: w.Key, Record: w.Record, Expiry: w.Expiry, Again: w.Again, at: w.at}
	l.writes[i].Record.Payload = bytes.Clone(w.Record.Payload)
}

// giveUp leaves out what nodes have missed, for good: they must come back empty. One may be back any
// moment, so soon that its client would think that nothing was missed: so it is told each time.
func (a *Applier) giveUp(gone []string) {
	if len(gone) == 0 {
		return
	}
	a.mu.Lock()
	for _, node := range gone {
		if l := a.parked[node]; l != nil {
			*l = lot{since: l.since, probe: l.probe, gone: true}
		}
	}
	a.mu.Unlock()
	if c, ok := a.cfg.Store.(tiers); ok {
		for _, node := range gone {
			c.MustEmpty(node)
		}
	}
}

// unpark gives what is parked for nodes that are back to the next turn.
func (a *Applier) unpark(ctx context.Context) {
	now := a.cfg.Now()
	a.mu.Lock()
	if len(a.parked) == 0 || now.Before(a.look) {
		a.mu.Unlock()
		return
	}
	a.look = now.Add(lookEvery)
	var names, gone []string
	var ops []memcache.Op
	for node, l := range a.parked {
		names = append(names, node)
		ops = append(ops, memcache.Op{Kind: memcache.Get, Key: l.probe})
	}
	a.mu.Unlock()
	a.cfg.Store.Do(ctx, ops)
	a.mu.Lock()
	for i, node := range names {
		l := a.parked[node]
		switch {
		case !memcache.IsTransport(ops[i].Err):
			for j := range l.writes {
				a.cur.restore(&l.writes[j])
			}
			delete(a.parked, node)
		case l.over(now) && !l.gone:
			gone = append(gone, node)
		}
	}
	a.mu.Unlock()
	a.giveUp(gone)
}

// release lets the position go on when nothing is parked any more; the caller holds mu.
func (a *Applier) release() {
	if a.parkedFrom == nil || a.cur.restored {
		return
	}
	for _, l := range a.parked {
		if len(l.writes) > 0 {
			return
		}
	}
	a.parkedFrom = nil
}

// restore takes a write that was parked: it tells nothing of how far the writer is behind.
func (p *pending) restore(w *Write) {
	oldest := p.oldest[w.at]
	p.add(int(w.at), &changelog.Change{Key: w.Key, Record: w.Record, Expiry: w.Expiry, Again: w.Again})
	p.oldest[w.at] = oldest
	p.restored = true
}
