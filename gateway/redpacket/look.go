package redpacket

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	"sluice/cachesync"
	"sluice/cachesync/record"
)

// local is a Reader that also keeps process-local copies; it does not hold on to the key.
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

// redPacket makes the first key only, for as long as the look lasts.
func (l *look) redPacket(id ID) *cachesync.Read {
	l.space = id.Append(append(l.space[:0], record.PrefixRedPacket...))
	l.reads[readRedPacket] = cachesync.Read{Key: unsafe.String(unsafe.SliceData(l.space), len(l.space))}
	return &l.reads[readRedPacket]
}

// Look implements Desk: one batched read. A red packet that has nothing to give, and of which this
// process has a copy, is seen without any: then neither user nor win is looked at, since
// decided needs neither.
func (d *Home) Look(ctx context.Context, id ID, uid string, seen *Seen) error {
	l := d.looks.Get().(*look)
	defer d.looks.Put(l)
	*seen = Seen{Now: d.h.now().UnixMilli()}
	from := readRedPacket
	if d.local != nil {
		if r := l.redPacket(id); d.local.Local(r) {
			d.copied(seen, id, r)
			d.filtered(ctx, seen, uid)
			if seen.decided() != Unknown {
				return nil
			}
			from = readWin
		}
	}
	l.key(id, uid)
	if err := d.Cache.Read(ctx, l.reads[from:]); err != nil {
		return Later(200*time.Millisecond, err)
	}
	if from == readRedPacket {
		seen.setRedPacket(id, &l.reads[readRedPacket])
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
	if from == readRedPacket && !seen.WinFound {
		d.filtered(ctx, seen, uid)
	}
	return nil
}

// filtered asks the winners' filter.
func (d *Home) filtered(ctx context.Context, seen *Seen, uid string) {
	if seen.Found && seen.State.filter > 0 && seen.State.Quarantined == 0 && d.Filters != nil {
		seen.NoWin = d.Filters.NoWin(ctx, &seen.State, uid)
	}
}

// copied is setRedPacket for a process-local copy: it is parsed once.
func (d *Home) copied(seen *Seen, id ID, r *cachesync.Read) {
	k := d.known.of(id, &r.Record)
	if k == nil {
		if k = d.known.keep(id, &r.Record); k == nil {
			seen.Later = true
			return
		}
	}
	seen.Found, seen.State = true, k.state
	seen.State.at(seen.Now)
}

const maxStates = 4096

// states remembers what copies of rp: records parse to. A copy is known by its bytes' place, which
// nobody else can have while it is remembered.
type states struct {
	mu  sync.RWMutex
	all map[ID]*knownState
}

type knownState struct {
	payload []byte
	state   State
}

// of is nil when r is not known.
func (s *states) of(id ID, r *cachesync.Record) *knownState {
	s.mu.RLock()
	k := s.all[id]
	s.mu.RUnlock()
	if k != nil && len(k.payload) == len(r.Payload) && &k.payload[0] == &r.Payload[0] && k.state.version == uint64(r.Version) {
		return k
	}
	return nil
}

// keep is nil when r does not read as a red packet.
func (s *states) keep(id ID, r *cachesync.Record) *knownState {
	st, err := parsePayload(id, string(r.Payload), r.Version)
	if err != nil {
		return nil
	}
	k := &knownState{r.Payload, st}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxStates || s.all == nil {
		s.all = map[ID]*knownState{}
	}
	s.all[id] = k
	return k
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
