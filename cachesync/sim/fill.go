package sim

import (
	"context"
	"fmt"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// fill is a gateway that fills one key: lock, look again, ask, write, unlock, each a step of
// its own.
type fill struct {
	a        *area
	key      string
	until    int64 // paused until then
	step     int
	locked   time.Time
	unlocked bool // by a flush: the lock went with the data
	asked    time.Time
	got      record.Record
	known    bool
	b        apply.Batch
	w        []apply.Write
	done     bool
}

const lockMS = 3000

func (f *fill) id() string { return fmt.Sprint(f.a.id, "/", f.key) }

// fillStep lets one fill of the region go on, or starts one where a key is missing.
func (a *area) fillStep() {
	if len(a.fills) < 3 && a.w.rng.IntN(3) == 0 {
		key := a.w.keys[a.w.rng.IntN(len(a.w.keys))]
		if r, ok := a.mem.record(key); !ok || r.Refill() {
			a.fills = append(a.fills, &fill{a: a, key: key})
		}
	}
	if len(a.fills) == 0 {
		return
	}
	i := a.w.rng.IntN(len(a.fills))
	a.fills[i].advance()
	if a.fills[i].done {
		a.fills = append(a.fills[:i], a.fills[i+1:]...)
	}
}

func (a *area) finishFills() {
	for range 20 {
		for _, f := range a.fills {
			if !f.done {
				f.advance()
			}
		}
	}
	a.fills = nil
}

func (f *fill) advance() {
	w := f.a.w
	if w.ms < f.until {
		return
	}
	switch f.step {
	case 0: // lock
		op := memcache.Op{Kind: memcache.Add, Key: record.PrefixLock + f.key, Value: fmt.Appendf(nil, "%p", f), Expiry: lockMS / 1000}
		if f.a.mem.one(&op); op.Err != nil && w.bug != NoFillLock {
			f.done = true // somebody else is at it
			return
		}
		f.locked = w.now()
	case 1: // look again
		if r, ok := f.a.mem.record(f.key); ok && !r.Refill() {
			f.step = 5
			return
		}
	case 2: // the question reaches the home
		f.question()
	case 3: // the answer is here
		f.answer()
	case 4:
		if !f.write() {
			return
		}
	case 5:
		f.unlock()
	}
	f.step++
}

func (f *fill) question() {
	w := f.a.w
	if w.bug != NoFillLock && w.now().Sub(f.locked) > time.Second {
		f.step = 4 // it took too long to get here: the lock may not last until the answer
		return
	}
	if other := w.asking[f.id()]; other != nil && other != f && !other.unlocked && !f.unlocked && w.now().Sub(other.locked) < lockMS*time.Millisecond {
		w.fail("region %d: two fills of %s at once", f.a.id, f.key)
	}
	if !f.unlocked {
		w.asking[f.id()] = f
	}
	f.asked = w.now()
	w.say("region %d: fill of %s asks", f.a.id, f.key)
	f.got, f.known = w.home.truth[f.key]
	if w.bug == FillMints {
		f.got.Version = record.MakeVersion(1, w.now().UnixMilli()-record.BaseMS+2000, 0)
	}
}

func (f *fill) answer() {
	w := f.a.w
	if w.asking[f.id()] == f {
		delete(w.asking, f.id())
	}
	late := w.now().Sub(f.asked) > cachesync.MaxFillAge
	if !f.known || late && w.bug != NoVersionGate {
		f.step = 4 // nothing to write
		return
	}
	f.w = []apply.Write{{Key: f.key, Record: f.got}}
	f.b = apply.Batch{Patience: cachesync.MaxFillAge}
	f.b.Plan(f.w, f.asked)
}

// write does one round of the batch; it reports whether that was the last.
func (f *fill) write() bool {
	w := f.a.w
	if w.bug == NoVersionGate {
		r := f.got
		f.a.mem.put(&memcache.Op{Key: f.key, Value: r.Append(nil)})
		return true
	}
	late := func() bool { return w.now().Sub(f.asked) > cachesync.MaxFillAge }
	if late() {
		f.b.Withhold()
	}
	ops := f.b.Ops()
	if len(ops) == 0 {
		return true
	}
	f.a.mem.Do(context.Background(), ops)
	f.b.Took()
	if late() {
		f.b.Doubt()
	}
	return false
}

// unlock removes the lock while it is surely our own.
func (f *fill) unlock() {
	f.done = true
	if f.a.w.bug != NoFillLock && f.a.w.now().Sub(f.locked) > 2000*time.Millisecond {
		return
	}
	if it, ok := f.a.mem.get(record.PrefixLock + f.key); !ok || string(it.value) != fmt.Sprintf("%p", f) {
		return
	}
	f.a.mem.one(&memcache.Op{Kind: memcache.Delete, Key: record.PrefixLock + f.key})
}
