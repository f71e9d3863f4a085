package cachesync

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// The fill lock keeps other processes from filling the same key. It is an `add` in memcached,
// so there is none while the lock's node is down; then the rate alone protects the source. A
// node that is slow is not down: a lock that may have been taken, and a record that could not
// be looked for, are asked about again, until the flight's time is up.

// lockFor is how long a lock lasts: beyond the end of the fill, whose question goes out, and
// whose answer comes, within Timeout. memcached's clock has whole seconds and may lag by one.
func (f *filler) lockFor() time.Duration {
	return (f.limits.Timeout + time.Second - 1).Truncate(time.Second) + 2*time.Second
}

func (f *filler) lockSeconds() int32 { return int32(f.lockFor() / time.Second) }

// unsure tells that memcached did not say what it did: it was too slow, not down.
func unsure(err error) bool {
	return memcache.IsTransport(err) && !errors.Is(err, memcache.ErrNodeDown)
}

// lock takes the keys that no other process is filling; the others are watched.
func (f *filler) lock(ctx context.Context, list []*flight) (mine []*flight) {
	ops := make([]memcache.Op, len(list))
	for i, fl := range list {
		ops[i] = memcache.Op{Kind: memcache.Add, Key: record.PrefixLock + fl.key, Value: f.owner, Expiry: f.lockSeconds()}
	}
	f.cache.store.Do(ctx, ops)
	var taken []*flight
	for i, fl := range list {
		switch err := ops[i].Err; {
		case errors.Is(err, memcache.ErrNotStored):
			taken = append(taken, fl)
		case unsure(err):
			f.wait(fl)
		default:
			mine = append(mine, fl)
		}
	}
	return append(mine, f.own(ctx, taken)...)
}

// own finds the locks that this process holds already, from an add or an unlock that
// memcached did not answer, and makes them new. Of a key it has one flight at a time.
func (f *filler) own(ctx context.Context, list []*flight) (mine []*flight) {
	mine, others := f.touch(ctx, list, f.lockSeconds())
	f.stats.waited.Add(int64(len(others)))
	for _, fl := range others {
		f.wait(fl)
	}
	return mine
}

// touch gives those locks that are our own another expiry, and tells them from the others: one may
// have run out, and a flush may have made room for another's.
func (f *filler) touch(ctx context.Context, list []*flight, expiry int32) (ours, others []*flight) {
	if len(list) == 0 {
		return nil, nil
	}
	ops := make([]memcache.Op, len(list))
	for i, fl := range list {
		ops[i] = memcache.Op{Kind: memcache.Gets, Key: record.PrefixLock + fl.key}
	}
	f.cache.store.Do(ctx, ops)
	var known []*flight
	set := ops[:0]
	for i, fl := range list {
		if op := ops[i]; op.Err != nil || !bytes.Equal(op.Value, f.owner) {
			others = append(others, fl)
			continue
		}
		set = append(set, memcache.Op{Kind: memcache.CAS, Key: ops[i].Key, Value: f.owner, CAS: ops[i].CAS, Expiry: expiry})
		known = append(known, fl)
	}
	f.cache.store.Do(ctx, set)
	for i, fl := range known {
		if set[i].Err == nil {
			ours = append(ours, fl)
		} else {
			others = append(others, fl)
		}
	}
	return ours, others
}

// wait leaves a flight to the watch.
func (f *filler) wait(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watched = append(f.watched, fl)
}

// unlock removes locks while they are surely our own; one that stays goes by itself.
func (f *filler) unlock(list []*flight, locked time.Time) {
	if f.cache.now().Sub(locked) > f.lockFor()-time.Second {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), f.limits.Timeout)
	defer cancel()
	f.touch(ctx, list, -1)
}

// unfilled looks again, now under the lock: what somebody filled meanwhile is answered, and
// where memcached does not tell, the flight waits.
func (f *filler) unfilled(ctx context.Context, list []*flight, locked time.Time) (left []*flight) {
	if len(list) == 0 {
		return nil
	}
	var filled []*flight
	for i, s := range f.look(ctx, list) {
		switch s {
		case seen:
			filled = append(filled, list[i])
		case unseen:
			f.wait(list[i])
		default:
			left = append(left, list[i])
		}
	}
	if len(filled) > 0 {
		f.unlock(filled, locked)
	}
	return left
}

// sight is what a look found.
type sight uint8

const (
	absent sight = iota
	seen         // there, and the flight answered
	unseen       // memcached did not tell
)

// look answers those flights whose key is in memcached by now.
func (f *filler) look(ctx context.Context, list []*flight) []sight {
	ops := make([]memcache.Op, len(list))
	for i, fl := range list {
		ops[i] = memcache.Op{Kind: memcache.Get, Key: fl.key}
	}
	f.cache.store.Do(ctx, ops)
	found := make([]sight, len(list))
	for i, fl := range list {
		if err := ops[i].Err; err != nil {
			if unsure(err) {
				found[i] = unseen
			}
			continue
		}
		rec, err := record.Parse(ops[i].Value)
		if err != nil || rec.Refill() {
			continue
		}
		found[i] = seen
		f.finish(fl, stateOf(rec), rec, nil)
	}
	return found
}

// watch looks after the keys that other processes are filling, all in one batch. A lock
// that ran out without a record is taken over.
func (f *filler) watch() {
	defer f.wg.Done()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		list := f.watched
		f.watched = nil
		f.release()
		f.mu.Unlock()
		if len(list) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(f.ctx, f.limits.Timeout)
		found := f.look(ctx, list)
		cancel()
		f.relock(list, found)
	}
}

// release forgets the answers whose time is over; mu is held.
func (f *filler) release() {
	now, n := f.cache.now(), 0
	for ; n < len(f.held) && !now.Before(f.held[n].until); n++ {
		if fl := f.held[n]; f.flights[fl.key] == fl {
			delete(f.flights, fl.key)
		}
	}
	f.held = slices.Delete(f.held, 0, n)
}

// relock lets those go on that waited too long, and asks for the lock again for the others.
func (f *filler) relock(list []*flight, found []sight) {
	now := f.cache.now()
	for i, fl := range list {
		switch {
		case found[i] == seen:
		case now.Sub(fl.born) >= f.limits.Timeout:
			f.finish(fl, Later, Record{}, ErrLater)
		default:
			f.again(fl)
		}
	}
}

// again keeps watching, and now and then asks for the lock: its owner may have failed.
func (f *filler) again(fl *flight) {
	if fl.looks++; fl.looks%looksPerLock != 0 {
		f.wait(fl)
		return
	}
	select {
	case f.urgent <- fl:
	default:
		f.finish(fl, Later, Record{}, ErrLater)
	}
}
