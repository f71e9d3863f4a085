package apply

import (
	"bytes"
	"context"

	"sluice/cachesync/memcache"
)

// fake is a memcached in a map.
type fake struct {
	values map[string][]byte
	cas    map[string]uint64
	next   uint64
	before func(op *memcache.Op) // may change things, or set op.Err to refuse the op
}

func newFake() *fake { return &fake{values: map[string][]byte{}, cas: map[string]uint64{}} }

func (f *fake) put(key string, v []byte) {
	f.next++
	f.values[key], f.cas[key] = bytes.Clone(v), f.next
}

func (f *fake) Do(_ context.Context, ops []memcache.Op) error {
	for i := range ops {
		op := &ops[i]
		if f.before != nil {
			if f.before(op); op.Err != nil {
				continue
			}
		}
		v, ok := f.values[op.Key]
		switch op.Kind {
		case memcache.Gets, memcache.Get:
			if !ok {
				op.Err = memcache.ErrCacheMiss
				continue
			}
			op.Value, op.CAS = v, f.cas[op.Key]
		case memcache.Add:
			if ok {
				op.Err = memcache.ErrNotStored
				continue
			}
			f.put(op.Key, op.Value)
		case memcache.CAS:
			switch {
			case !ok:
				op.Err = memcache.ErrCacheMiss
			case f.cas[op.Key] != op.CAS:
				op.Err = memcache.ErrCASConflict
			default:
				f.put(op.Key, op.Value)
			}
		}
	}
	return nil
}
