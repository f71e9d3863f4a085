package embedded

import (
	"os"
	"strconv"
	"sync"
	"time"
)

// itemOverhead is what an item costs beside key and value: map entry, item, links.
const itemOverhead = 80

// month: expiry times up to this many seconds are relative.
const month = 30 * 24 * 3600

// item is immutable but for its links, expiry and fetched: values can be
// written to the network without the lock.
type item struct {
	key        string
	value      []byte
	flags      uint32
	cas        uint64
	expires    int64 // unix seconds, 0 = never
	fetched    bool
	prev, next *item // of the recency ring
}

func (it *item) size() int64 { return int64(len(it.key)+len(it.value)) + itemOverhead }

// reply is the outcome of a write, in memcached's words.
type reply string

const (
	stored    reply = "STORED\r\n"
	notStored reply = "NOT_STORED\r\n"
	exists    reply = "EXISTS\r\n"
	notFound  reply = "NOT_FOUND\r\n"
	deleted   reply = "DELETED\r\n"
	touched   reply = "TOUCHED\r\n"
	tooLarge  reply = "SERVER_ERROR object too large for cache\r\n"
	notNumber reply = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
)

type counters struct {
	cmdGet, cmdSet, cmdFlush, cmdTouch, getHits, getMisses, getExpired   uint64
	deleteHits, deleteMisses, incrHits, incrMisses, decrHits, decrMisses uint64
	casHits, casMisses, casBadval, touchHits, touchMisses                uint64
	evictions, expiredUnfetched, totalItems                              uint64
}

// store is the items, under one lock, in a ring from most to least recently used.
type store struct {
	maxBytes int64
	maxValue int
	clock    func() time.Time
	started  time.Time
	pid      int

	mu      sync.Mutex
	items   map[string]*item
	ring    item // sentinel
	bytes   int64
	lastCAS uint64
	flushAt int64 // unix seconds of a delayed flush_all, 0 = none
	count   counters
}

func newStore(maxBytes int64, maxValue int, clock func() time.Time) *store {
	s := &store{maxBytes: maxBytes, maxValue: maxValue, clock: clock, started: clock(), pid: os.Getpid(), items: map[string]*item{}}
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	return s
}

// expiry turns a protocol time into unix seconds; negative means expired.
func expiry(n, now int64) int64 {
	switch {
	case n < 0:
		return -1
	case n == 0:
		return 0
	case n <= month:
		return now + n
	}
	return n
}

// lock also runs a delayed flush that is due.
func (s *store) lock() (now int64) {
	now = s.clock().Unix()
	s.mu.Lock()
	if s.flushAt != 0 && now >= s.flushAt {
		s.clear()
	}
	return now
}

func (s *store) clear() {
	s.items = map[string]*item{}
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	s.bytes, s.flushAt = 0, 0
}

// find returns a live item, and drops an expired one.
func (s *store) find(key []byte, now int64) *item {
	it := s.items[string(key)]
	if it == nil {
		return nil
	}
	if it.expires != 0 && it.expires <= now {
		if it.fetched {
			s.count.getExpired++
		} else {
			s.count.expiredUnfetched++
		}
		s.drop(it)
		return nil
	}
	return it
}

func (s *store) drop(it *item) {
	delete(s.items, it.key)
	s.bytes -= it.size()
	it.prev.next, it.next.prev = it.next, it.prev
	it.prev, it.next = nil, nil
}

func (s *store) front(it *item) {
	if it.prev != nil {
		it.prev.next, it.next.prev = it.next, it.prev
	}
	it.prev, it.next = &s.ring, s.ring.next
	it.prev.next, it.next.prev = it, it
}

// put replaces old (may be nil) by a new item and makes room for it.
func (s *store) put(old *item, it *item) {
	s.lastCAS++
	it.cas = s.lastCAS
	if old != nil {
		s.drop(old)
	}
	now := s.clock().Unix()
	for s.bytes+it.size() > s.maxBytes && s.ring.prev != &s.ring {
		last := s.ring.prev
		if last.expires == 0 || last.expires > now {
			s.count.evictions++
		}
		s.drop(last)
	}
	s.items[it.key] = it
	s.bytes += it.size()
	s.count.totalItems++
	s.front(it)
}

// get returns the live item of key; touch also gives it another expiry.
func (s *store) get(key []byte, touch bool, exptime int64) *item {
	now := s.lock()
	defer s.mu.Unlock()
	s.count.cmdGet++
	if touch {
		s.count.cmdTouch++
	}
	it := s.find(key, now)
	if it == nil {
		s.count.getMisses++
		if touch {
			s.count.touchMisses++
		}
		return nil
	}
	s.count.getHits++
	if touch {
		s.count.touchHits++
		it.expires = expiry(exptime, now)
	}
	it.fetched = true
	s.front(it)
	return it
}

// write is set, add, replace, append, prepend and cas; it keeps value.
func (s *store) write(verb string, key []byte, flags uint32, exptime int64, value []byte, cas uint64) reply {
	now := s.lock()
	defer s.mu.Unlock()
	s.count.cmdSet++
	old := s.find(key, now)
	if len(key)+len(value)+itemOverhead > s.maxValue {
		if old != nil && verb == "set" {
			s.drop(old) // as memcached: rather nothing than what was to be replaced
		}
		return tooLarge
	}
	it := &item{key: string(key), value: value, flags: flags, expires: expiry(exptime, now)}
	switch verb {
	case "add":
		if old != nil {
			s.front(old)
			return notStored
		}
	case "replace":
		if old == nil {
			return notStored
		}
	case "append", "prepend":
		if old == nil {
			return notStored
		}
		if len(key)+len(old.value)+len(value)+itemOverhead > s.maxValue {
			return tooLarge
		}
		it.flags, it.expires = old.flags, old.expires
		a, b := old.value, value
		if verb == "prepend" {
			a, b = b, a
		}
		it.value = append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
	case "cas":
		switch {
		case old == nil:
			s.count.casMisses++
			return notFound
		case old.cas != cas:
			s.count.casBadval++
			return exists
		}
		s.count.casHits++
	}
	s.put(old, it)
	return stored
}

// delta is incr and decr: the new number, or a reply that says why not.
func (s *store) delta(key []byte, delta uint64, down bool) (uint64, reply) {
	now := s.lock()
	defer s.mu.Unlock()
	hits, misses := &s.count.incrHits, &s.count.incrMisses
	if down {
		hits, misses = &s.count.decrHits, &s.count.decrMisses
	}
	old := s.find(key, now)
	if old == nil {
		*misses++
		return 0, notFound
	}
	n, ok := parseNumber(old.value)
	if !ok {
		return 0, notNumber
	}
	*hits++
	switch {
	case !down:
		n += delta
	case delta > n:
		n = 0
	default:
		n -= delta
	}
	value := strconv.AppendUint(nil, n, 10)
	for len(value) < len(old.value) { // memcached changes the number in place and pads it
		value = append(value, ' ')
	}
	s.put(old, &item{key: old.key, value: value, flags: old.flags, expires: old.expires})
	return n, ""
}

// parseNumber reads a decimal, with the padding that decr leaves.
func parseNumber(b []byte) (uint64, bool) {
	end := len(b)
	for end > 0 && b[end-1] == ' ' {
		end--
	}
	n, err := strconv.ParseUint(string(b[:end]), 10, 64)
	return n, err == nil
}

func (s *store) touch(key []byte, exptime int64) reply {
	now := s.lock()
	defer s.mu.Unlock()
	s.count.cmdTouch++
	it := s.find(key, now)
	if it == nil {
		s.count.touchMisses++
		return notFound
	}
	s.count.touchHits++
	it.expires = expiry(exptime, now)
	s.front(it)
	return touched
}

func (s *store) delete(key []byte) reply {
	now := s.lock()
	defer s.mu.Unlock()
	it := s.find(key, now)
	if it == nil {
		s.count.deleteMisses++
		return notFound
	}
	s.count.deleteHits++
	s.drop(it)
	return deleted
}

// flush empties the store, now or after delay seconds.
func (s *store) flush(delay int64) {
	now := s.lock()
	defer s.mu.Unlock()
	s.count.cmdFlush++
	if delay > 0 {
		s.flushAt = expiry(delay, now)
		return
	}
	s.clear()
}
