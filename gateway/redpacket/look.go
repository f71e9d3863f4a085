package redpacket

import (
	"context"
	"errors"
	"sync"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/record"
)

// local is a Reader that also keeps process-local copies.
type local interface {
	Local(r *cachesync.Read) bool
}

// look holds what one Look reads.
type look struct {
	reads [3]cachesync.Read
	space []byte
}

const (
	readRedPacket = iota
	readWin
	readUser
)

// key makes the keys in one piece of memory: copies and fills may keep them.
func (l *look) key(id ID, uid string) {
	b := append(l.space[:0], record.PrefixRedPacket...)
	b = id.Append(b)
	one := len(b)
	b = id.Append(append(b, record.PrefixWin...))
	b = append(append(b, ':'), uid...)
	two := len(b)
	b = append(append(b, record.PrefixUser...), uid...)
	l.space = b
	all := string(b)
	l.reads = [3]cachesync.Read{{Key: all[:one]}, {Key: all[one:two], NoFill: true}, {Key: all[two:]}}
}

// Look implements Desk: one batched read. A red packet that has nothing to give, and of which this
// process has a copy, is seen without any: then neither user nor win is looked at, since
// Decide needs neither.
func (d *Home) Look(ctx context.Context, id ID, uid string) (Seen, error) {
	l := d.looks.Get().(*look)
	defer d.looks.Put(l)
	l.key(id, uid)
	seen := Seen{Now: d.h.now().UnixMilli()}
	reads := l.reads[:]
	if d.local != nil && d.local.Local(&reads[readRedPacket]) {
		d.copied(&seen, id, &reads[readRedPacket])
		d.filtered(ctx, &seen, uid)
		if _, ok := seen.Decide(); ok {
			return seen, nil
		}
		reads = reads[readWin:]
	}
	if err := d.Cache.Read(ctx, reads); err != nil {
		return seen, Later(200*time.Millisecond, err)
	}
	if len(reads) == len(l.reads) {
		seen.setRedPacket(id, &reads[readRedPacket])
	}
	// A w: record may be ahead of the ledger. Where the ledger is waited for, the home tells a
	// win, and waits; the cache never does.
	if w := &l.reads[readWin]; w.State == cachesync.Hit && d.Confirm == nil {
		if o, _, err := parseWin(string(w.Record.Payload)); err == nil {
			o.Now = seen.Now
			seen.WinFound, seen.Win = true, o
		}
	}
	switch u := &l.reads[readUser]; u.State {
	case cachesync.Hit:
		seen.UserFound, seen.User = true, u.Record.Payload
	case cachesync.Later:
		seen.UserLater = true
	}
	if len(reads) == len(l.reads) && !seen.WinFound {
		d.filtered(ctx, &seen, uid)
	}
	return seen, nil
}

// filtered asks the winners' filter.
func (d *Home) filtered(ctx context.Context, seen *Seen, uid string) {
	if seen.Found && seen.State.filter > 0 && seen.State.Quarantined == 0 && d.Filters != nil {
		seen.NoWin = d.Filters.NoWin(ctx, &seen.State, uid)
	}
}

// copied is setRedPacket for a process-local copy: it is parsed once.
func (d *Home) copied(seen *Seen, id ID, r *cachesync.Read) {
	st, ok := d.known.of(id, &r.Record)
	if !ok {
		var err error
		if st, err = parsePayload(id, string(r.Record.Payload), r.Record.Version); err != nil {
			seen.Later = true
			return
		}
		d.known.keep(id, &r.Record, &st)
	}
	st.at(seen.Now)
	seen.Found, seen.State = true, st
}

const maxStates = 4096

// states remembers what copies of rp: records parse to. A copy is known by its bytes' place, which
// nobody else can have while it is remembered.
type states struct {
	mu  sync.RWMutex
	all map[ID]knownState
}

type knownState struct {
	payload []byte
	state   State
}

func (s *states) of(id ID, r *cachesync.Record) (State, bool) {
	s.mu.RLock()
	k, ok := s.all[id]
	s.mu.RUnlock()
	ok = ok && len(k.payload) == len(r.Payload) && &k.payload[0] == &r.Payload[0] && k.state.version == uint64(r.Version)
	return k.state, ok
}

func (s *states) keep(id ID, r *cachesync.Record, st *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxStates || s.all == nil {
		s.all = map[ID]knownState{}
	}
	s.all[id] = knownState{r.Payload, *st}
}

func (s *Seen) setRedPacket(id ID, r *cachesync.Read) {
	switch r.State {
	case cachesync.Hit:
		st, err := parseState(id, string(r.Record.Payload), r.Record.Version, s.Now)
		s.Found, s.State, s.Later = err == nil, st, err != nil
	case cachesync.Tombstone:
		s.Gone = true
	case cachesync.Later:
		s.Later = true
	default:
		s.Gone = errors.Is(r.Err, cachesync.ErrNotFound)
		s.Later = !s.Gone
	}
}
