package apply

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// shared is a fake that several may use at once.
type shared struct {
	mu sync.Mutex
	*fake
}

func (s *shared) Do(ctx context.Context, ops []memcache.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fake.Do(ctx, ops)
}

// turnOf is a turn of n different keys, and the Applier that writes it in batches of ten.
func turnOf(n int, store Store, now func() time.Time, applied func(string, record.Version)) (*Applier, *pending) {
	a := New(Config{Source: "home", Buckets: []int{0}, Store: store, BatchSize: 10, Now: now, Applied: applied})
	p := newPending(1)
	for i := range n {
		p.add(0, &changelog.Change{Key: fmt.Sprint("u:", i), Record: record.Record{
			Type: record.TypeUser, Version: record.Version(7), CommitMS: now().UnixMilli(), Payload: []byte("x")}})
	}
	return a, p
}

func TestTwoWritersWriteATurnWholeAndOnce(t *testing.T) {
	store := &shared{fake: newFake()}
	var told atomic.Int64
	now := time.Now()
	a, p := turnOf(1005, store, func() time.Time { return now }, func(string, record.Version) { told.Add(1) })
	var all [writers]Batch
	for i := range all {
		all[i].Now = a.cfg.Now
	}
	a.write(t.Context(), &all, p)
	var sum Counts
	for i := range all {
		sum.add(all[i].Counts)
	}
	if len(store.values) != 1005 || told.Load() != 1005 || sum.Stored != 1005 || sum.Adds != 1005 || sum.Gets != 1005 {
		t.Errorf("%d keys, %d told, %+v", len(store.values), told.Load(), sum)
	}
	for key, v := range store.values {
		if r, err := record.Parse(v); err != nil || r.Version != 7 || string(r.Payload) != "x" {
			t.Fatalf("%s is %+v (%v)", key, r, err)
		}
	}
}

func TestWritersThatWerePausedWriteNoMoreValues(t *testing.T) {
	for _, kind := range []memcache.Kind{memcache.Gets, memcache.Add} { // the pause comes before or within the write
		store := &shared{fake: newFake()}
		var ms atomic.Int64
		ms.Store(time.Now().UnixMilli())
		paused, after := false, 0
		store.before = func(op *memcache.Op) {
			if op.Key == "u:500" && op.Kind == kind && !paused {
				paused = true
				ms.Add(2 * staleAfter.Milliseconds())
			}
			if r, err := record.Parse(op.Value); paused && op.Kind == memcache.Add && err == nil && !r.Refill() {
				after++
			}
		}
		a, p := turnOf(1000, store, func() time.Time { return time.UnixMilli(ms.Load()) }, nil)
		var all [writers]Batch
		for i := range all {
			all[i].Now = a.cfg.Now
		}
		a.write(t.Context(), &all, p)
		if after > writers*a.cfg.BatchSize { // those of the batches under way, which are then withdrawn
			t.Errorf("%d values were written after the pause", after)
		}
		for i := range 1000 {
			if _, err := record.Parse(store.values[fmt.Sprint("u:", i)]); err != nil {
				t.Fatal(i, err)
			}
		}
		if r, _ := record.Parse(store.values["u:500"]); !r.Refill() {
			t.Errorf("what was written too late stayed: %+v", r)
		}
	}
}

func TestADrainEndsInvalidationInTheMiddleOfATurn(t *testing.T) {
	store := &shared{fake: newFake()}
	now := time.Now()
	a, p := turnOf(1000, store, func() time.Time { return now }, nil)
	var draining atomic.Bool
	a.cfg.Situation = func() Situation { return Situation{AllClasses: true, Draining: draining.Load()} }
	a.modes[0].mode = Invalidate
	begun := 0 // keys that were asked for
	store.before = func(op *memcache.Op) {
		if op.Kind == memcache.Gets {
			if begun++; begun == 500 {
				draining.Store(true)
			}
		}
	}
	var all [writers]Batch
	for i := range all {
		all[i].Now = a.cfg.Now
	}
	a.write(t.Context(), &all, p)
	deleted := 0
	for i := range 1000 {
		r, err := record.Parse(store.values[fmt.Sprint("u:", i)])
		if err != nil {
			t.Fatal(i, err)
		}
		if r.Refill() {
			deleted++
		}
	}
	if under := writers * a.cfg.BatchSize; deleted < 500-under || deleted > 500+under {
		t.Errorf("%d of 1000 keys were deleted, though a drain began at half of them", deleted)
	}
}
