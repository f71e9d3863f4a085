package cachesync

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// LocalConfig bounds the copies that a process keeps.
type LocalConfig struct {
	// MaxCopies is how many copies are kept; zero value means 65536.
	MaxCopies int `yaml:"max_copies"`
	// Silence is how old the last sign of life of the invalidation stream may be before
	// copies count as blind; zero value means 300 ms.
	Silence time.Duration `yaml:"silence"`
	// BlindAge is how old a copy may grow while the invalidation stream is silent; zero
	// value means 20 ms.
	BlindAge time.Duration `yaml:"blind_age"`
	// MissingAge is how long "the source knows no such record" is remembered; zero value
	// means 200 ms, a negative one that it is not.
	MissingAge time.Duration `yaml:"missing_age"`
}

const (
	localParts = 64
	localGens  = 4096
)

// local holds copies in parts with a lock each. A copy is put only when no invalidation that
// might concern it came in between the read of memcached and the put: gens counts them by hash.
type local struct {
	cfg   LocalConfig
	parts [localParts]localPart
	gens  [localGens]atomic.Uint32
	heard atomic.Int64 // Unix nanoseconds of the last sign of life
}

type localPart struct {
	mu     sync.RWMutex
	copies map[string]localCopy
}

type localCopy struct {
	record  Record
	missing bool
	born    time.Time
	age     time.Duration
}

func newLocal(cfg LocalConfig) *local {
	if cfg.MaxCopies <= 0 {
		cfg.MaxCopies = 1 << 16
	}
	if cfg.Silence <= 0 {
		cfg.Silence = 300 * time.Millisecond
	}
	if cfg.BlindAge <= 0 {
		cfg.BlindAge = 20 * time.Millisecond
	}
	if cfg.MissingAge == 0 {
		cfg.MissingAge = 200 * time.Millisecond
	}
	l := &local{cfg: cfg}
	for i := range l.parts {
		l.parts[i].copies = map[string]localCopy{}
	}
	return l
}

func (l *local) part(h uint64) *localPart { return &l.parts[h%localParts] }

func (l *local) gen(key string) uint32 {
	return l.gens[xxhash.Sum64String(key)>>32%localGens].Load()
}

// get answers r from a copy, if there is one young enough.
func (l *local) get(r *Read, now time.Time) bool {
	p := l.part(xxhash.Sum64String(r.Key))
	p.mu.RLock()
	c, ok := p.copies[r.Key]
	p.mu.RUnlock()
	if !ok {
		return false
	}
	age := c.age
	if now.UnixNano()-l.heard.Load() > int64(l.cfg.Silence) {
		age = min(age, l.cfg.BlindAge)
	}
	if d := now.Sub(c.born); d < 0 || d >= age {
		return false
	}
	if c.missing {
		r.Err = ErrNotFound
		return true
	}
	r.State, r.Record = Hit, c.record
	return true
}

// put keeps a copy, unless an invalidation came since gen was taken.
func (l *local) put(key string, r Record, born time.Time, age time.Duration, gen uint32) {
	l.keep(key, localCopy{record: r, born: born, age: age}, gen)
}

func (l *local) putMissing(key string, born time.Time, gen uint32) {
	l.keep(key, localCopy{missing: true, born: born, age: l.cfg.MissingAge}, gen)
}

func (l *local) keep(key string, c localCopy, gen uint32) {
	h := xxhash.Sum64String(key)
	p := l.part(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.gens[h>>32%localGens].Load() != gen {
		return
	}
	old, ok := p.copies[key]
	if ok && !old.missing && !c.missing && old.record.Version > c.record.Version {
		return
	}
	if !ok && len(p.copies) >= max(1, l.cfg.MaxCopies/localParts) {
		for k := range p.copies { // any one: the order of a map is chance enough
			delete(p.copies, k)
			break
		}
	}
	c.record.Payload = bytes.Clone(c.record.Payload) // out of the reply of the whole batch
	p.copies[key] = c
}

func (l *local) applied(key string, v Version) {
	h := xxhash.Sum64String(key)
	p := l.part(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	l.gens[h>>32%localGens].Add(1)
	if c, ok := p.copies[key]; ok && (c.missing || c.record.Version < v) {
		delete(p.copies, key)
	}
}

func (l *local) alive(now time.Time) { l.heard.Store(now.UnixNano()) }

func (l *local) forget() {
	for i := range l.gens {
		l.gens[i].Add(1)
	}
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		clear(p.copies)
		p.mu.Unlock()
	}
}

func (l *local) len() (n int64) {
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.RLock()
		n += int64(len(p.copies))
		p.mu.RUnlock()
	}
	return n
}
