package shdict

import (
	"errors"
	"sync"
	"time"
)

// Kind is the type of a stored value.
type Kind uint8

// What a dictionary can hold; None deletes.
const (
	None Kind = iota
	Boolean
	Number
	String
	list
)

// Value is a stored value; Number and Boolean are in Num.
type Value struct {
	Kind Kind
	Num  float64
	Str  string
}

func (v Value) size() int {
	switch v.Kind {
	case Boolean:
		return 1
	case Number:
		return 8
	}
	return len(v.Str)
}

// Errors, in OpenResty's words.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists")
	ErrNoMemory  = errors.New("no memory")
	ErrIsList    = errors.New("value is a list")
	ErrNotList   = errors.New("value not a list")
	ErrNotNumber = errors.New("not a number")
	ErrNilValue  = errors.New("attempt to add or replace nil values")
)

// Op says how Store treats keys that are there, or not, and a full dictionary.
type Op uint8

// Store is Set unless one of these is given.
const (
	Add     Op = 1 << iota // only if the key is not there
	Replace                // only if it is
	Safe                   // never push out other keys
)

// Sizes of nginx's structures around a key, and around an element of a list.
const (
	nodeSize    = 68
	listHead    = 16
	elementSize = 21
	maxEvict    = 30
)

type entry struct {
	key      string
	value    Value
	flags    uint32
	expires  int64 // unix ms, 0 = never
	room     chunk
	older    *entry
	newer    *entry
	elements []element // of a list
	first    int       // elements[:first] were popped
}

type element struct {
	value Value
	room  chunk
}

// Dict is one dictionary.
type Dict struct {
	name string
	size int64
	now  func() time.Time

	mu     sync.Mutex
	slab   *slab
	keys   map[string]*entry
	oldest *entry
	newest *entry
}

func newDict(name string, size int64, now func() time.Time) *Dict {
	return &Dict{name: name, size: size, now: now, slab: newSlab(size, name), keys: map[string]*entry{}}
}

// Name of the dictionary.
func (d *Dict) Name() string { return d.name }

// Capacity is the size it was made with, in bytes.
func (d *Dict) Capacity() int64 { return d.size }

// FreeSpace is the size of the pages nothing is in; there may be room without
// any.
func (d *Dict) FreeSpace() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slab.freeBytes()
}

func (d *Dict) ms() int64 { return d.now().UnixMilli() }

func (e *entry) dead(now int64) bool { return e.expires != 0 && e.expires <= now }

func (d *Dict) unlink(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		d.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		d.newest = e.older
	}
	e.older, e.newer = nil, nil
}

func (d *Dict) link(e *entry) {
	e.older, e.newer = d.newest, nil
	if d.newest != nil {
		d.newest.newer = e
	} else {
		d.oldest = e
	}
	d.newest = e
}

func (d *Dict) touch(e *entry) {
	if d.newest != e {
		d.unlink(e)
		d.link(e)
	}
}

func (d *Dict) remove(e *entry) {
	for _, el := range e.elements[e.first:] {
		d.slab.release(el.room)
	}
	d.slab.release(e.room)
	d.unlink(e)
	delete(d.keys, e.key)
}

// lookup finds a key and makes it the newest, unless it is dead.
func (d *Dict) lookup(key string, now int64) (e *entry, dead bool) {
	e = d.keys[key]
	if e == nil {
		return nil, false
	}
	if e.dead(now) {
		return e, true
	}
	d.touch(e)
	return e, false
}

// expire drops up to two dead keys from the old end; with force the oldest
// goes first, dead or not.
func (d *Dict) expire(force bool, now int64) (dropped int) {
	for n := 0; n < 3 && d.oldest != nil; n++ {
		if n == 0 && !force {
			continue
		}
		if n > 0 && !d.oldest.dead(now) {
			break
		}
		d.remove(d.oldest)
		dropped++
	}
	return dropped
}

// makeRoom allocates n bytes, pushing old keys out when it must and may.
func (d *Dict) makeRoom(n int, safe bool, now int64) (room chunk, forcible, ok bool) {
	if room, ok = d.slab.alloc(n); ok || safe {
		return room, false, ok
	}
	for range maxEvict {
		if d.expire(true, now) == 0 {
			break
		}
		forcible = true
		if room, ok = d.slab.alloc(n); ok {
			return room, true, true
		}
	}
	return room, forcible, false
}

func (d *Dict) insert(key string, v Value, flags uint32, expires int64, room chunk) *entry {
	e := &entry{key: key, value: v, flags: flags, expires: expires, room: room}
	d.keys[key] = e
	d.link(e)
	return e
}

func deadline(now int64, ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return now + ttl.Milliseconds()
}

// Store sets key to v for ttl (zero: for ever). forcible tells that other
// keys, not yet dead, were pushed out for it.
func (d *Dict) Store(op Op, key string, v Value, ttl time.Duration, flags uint32) (forcible bool, err error) {
	if v.Kind == None && op&(Add|Replace) != 0 {
		return false, ErrNilValue
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if op&Replace != 0 && (e == nil || dead) {
		return false, ErrNotFound
	}
	if op&Add != 0 && e != nil && !dead {
		return false, ErrExists
	}
	if e != nil {
		if v.Kind != None && e.value.Kind != list && e.value.size() == v.size() {
			e.value, e.flags, e.expires = v, flags, deadline(now, ttl)
			d.touch(e)
			return false, nil
		}
		d.remove(e)
	}
	if v.Kind == None {
		return false, nil
	}
	room, forcible, ok := d.makeRoom(nodeSize+len(key)+v.size(), op&Safe != 0, now)
	if !ok {
		return forcible, ErrNoMemory
	}
	d.insert(key, v, flags, deadline(now, ttl), room)
	return forcible, nil
}

// Get reads a key; Kind None means that it is not there.
func (d *Dict) Get(key string) (v Value, flags uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if e == nil || dead {
		return Value{}, 0, nil
	}
	if e.value.Kind == list {
		return Value{}, 0, ErrIsList
	}
	return e.value, e.flags, nil
}

// GetStale reads a key even when it is dead, if it is still there.
func (d *Dict) GetStale(key string) (v Value, flags uint32, stale bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, dead := d.lookup(key, d.ms())
	if e == nil {
		return Value{}, 0, false, nil
	}
	if e.value.Kind == list {
		return Value{}, 0, false, ErrIsList
	}
	return e.value, e.flags, dead, nil
}

// Incr adds to a number. Without a live number it starts from init, if there
// is one, which then lives for ttl.
func (d *Dict) Incr(key string, by float64, init *float64, ttl time.Duration) (sum float64, forcible bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if e == nil || dead {
		if init == nil {
			return 0, false, ErrNotFound
		}
		v := Value{Kind: Number, Num: *init + by}
		if e != nil {
			if e.value.Kind != list && e.value.size() == v.size() {
				e.value, e.flags, e.expires = v, 0, deadline(now, ttl)
				d.touch(e)
				return v.Num, false, nil
			}
			d.remove(e)
		}
		room, forcible, ok := d.makeRoom(nodeSize+len(key)+v.size(), false, now)
		if !ok {
			return 0, forcible, ErrNoMemory
		}
		d.insert(key, v, 0, deadline(now, ttl), room)
		return v.Num, forcible, nil
	}
	if e.value.Kind != Number {
		return 0, false, ErrNotNumber
	}
	e.value.Num += by
	return e.value.Num, false, nil
}

// TTL is how long a key will live: zero for ever, negative when it is dead.
func (d *Dict) TTL(key string) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.keys[key]
	if e == nil {
		return 0, ErrNotFound
	}
	if e.expires == 0 {
		return 0, nil
	}
	return time.Duration(e.expires-d.ms()) * time.Millisecond, nil
}

// Expire gives a key a new time to live, zero for ever.
func (d *Dict) Expire(key string, ttl time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.keys[key]
	if e == nil {
		return ErrNotFound
	}
	e.expires = deadline(d.ms(), ttl)
	return nil
}

// FlushAll makes every key dead.
func (d *Dict) FlushAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := d.oldest; e != nil; e = e.newer {
		e.expires = 1
	}
	d.expire(true, d.ms())
}

// FlushExpired drops dead keys, at most so many (zero: all).
func (d *Dict) FlushExpired(most int) (dropped int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	for e := d.oldest; e != nil; {
		next := e.newer
		if e.dead(now) {
			d.remove(e)
			dropped++
			if dropped == most {
				break
			}
		}
		e = next
	}
	return dropped
}

// Keys lists live keys, the oldest first, at most so many (zero: all).
func (d *Dict) Keys(most int) (keys []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	for e := d.oldest; e != nil; e = e.newer {
		if e.dead(now) {
			continue
		}
		keys = append(keys, e.key)
		if len(keys) == most {
			break
		}
	}
	return keys
}
