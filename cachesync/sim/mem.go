package sim

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// mem is a memcached in a map: what it does at once is one step of the world.
type mem struct {
	w    *world
	id   int
	next uint64
	all  map[string]memItem
}

type memItem struct {
	value []byte
	cas   uint64
	dies  int64 // ms; 0 = never
	born  int64
}

func (m *mem) get(key string) (memItem, bool) {
	it, ok := m.all[key]
	if ok && it.dies != 0 && it.dies <= m.w.ms {
		delete(m.all, key)
		return memItem{}, false
	}
	return it, ok
}

func (m *mem) put(op *memcache.Op) {
	m.next++
	it := memItem{value: bytes.Clone(op.Value), cas: m.next, born: m.w.ms}
	if op.Expiry > 0 {
		it.dies = m.w.ms + int64(op.Expiry)*1000
	}
	m.all[op.Key] = it
	if m.w.trace != nil {
		if r, err := record.Parse(op.Value); err == nil {
			m.w.say("region %d: %s %s = %s flags %d", m.id, op.Kind, op.Key, r.Version, r.Flags)
		} else {
			m.w.say("region %d: %s %s = %s", m.id, op.Kind, op.Key, op.Value)
		}
	}
}

func (m *mem) record(key string) (record.Record, bool) {
	it, ok := m.get(key)
	if !ok {
		return record.Record{}, false
	}
	r, err := record.Parse(it.value)
	return r, err == nil
}

// flush loses everything, saved positions too.
func (m *mem) flush() { clear(m.all) }

func (m *mem) keys() []string { return slices.Sorted(maps.Keys(m.all)) }

// Do implements apply.Store.
func (m *mem) Do(_ context.Context, ops []memcache.Op) error {
	for i := range ops {
		m.one(&ops[i])
	}
	return nil
}

func (m *mem) one(op *memcache.Op) {
	it, ok := m.get(op.Key)
	op.Err = nil
	switch op.Kind {
	case memcache.Get, memcache.Gets:
		if !ok {
			op.Err = memcache.ErrCacheMiss
			return
		}
		op.Value, op.CAS = it.value, it.cas
	case memcache.Set:
		m.put(op)
	case memcache.Add:
		if ok {
			op.Err = memcache.ErrNotStored
			return
		}
		m.put(op)
	case memcache.CAS:
		switch {
		case !ok:
			op.Err = memcache.ErrCacheMiss
		case it.cas != op.CAS:
			op.Err = memcache.ErrCASConflict
		default:
			m.put(op)
		}
	case memcache.Delete:
		delete(m.all, op.Key)
	}
}
