package cachesync

import (
	"context"
	"testing"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// truth lists one record of a home.
type truth struct{ f Filled }

func (s truth) Snapshot(_ context.Context, _ string, bucket int, emit func([]Filled) error) error {
	if BucketOf(s.f.Key) != bucket {
		return nil
	}
	return emit([]Filled{s.f})
}

func TestAntiEntropyPutsRightWhatARegionHoldsOlderUnderTheSameVersion(t *testing.T) {
	w := newWorld(t)
	committed := time.Now().Add(-time.Minute).UnixMilli()
	right := Record{Type: TypeUser, Version: MakeVersion(1, 5, 0), CommitMS: committed, Payload: []byte("right")}
	far := servers.Memcached(t)
	begin(t, w.config("month1", "monthly", far))
	cfg := w.config("bj1", "idc", servers.Memcached(t))
	cfg.CompareEvery = 50 * time.Millisecond
	s, err := NewSyncer(cfg, Deps{Log: quiet(), Snapshots: []Snapshotter{truth{Filled{Key: "u:1", Record: right}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx); s.Close() }()
	t.Cleanup(func() { cancel(); <-done })
	await(t, "both active", func() bool {
		return w.state(t, "bj1") == region.Active && w.state(t, "month1") == region.Active
	})
	store := newStore(t, far)
	cache := NewCache(CacheConfig{Store: store})
	put := func(r Record) {
		if err := store.Do(ctx, []memcache.Op{{Kind: memcache.Set, Key: "u:1", Value: r.Append(nil)}}); err != nil {
			t.Fatal(err)
		}
	}
	older := right
	older.Version, older.Payload = MakeVersion(1, 4, 0), []byte("older")
	put(older)
	await(t, "the home's record", func() bool { return holds(cache, "u:1", "right") })
	reads := []Read{{Key: "u:1", NoFill: true}}
	if cache.Read(ctx, reads); reads[0].Record.Version != right.Version {
		t.Errorf("repaired under version %s, the home has %s", reads[0].Record.Version, right.Version)
	}
	await(t, "the count", func() bool { return s.Stats().Compared["month1"].Older >= 1 })
	newer := right
	newer.Version, newer.Payload = MakeVersion(1, 6, 0), []byte("newer")
	put(newer)
	before := s.Stats().Compared["month1"].Looked
	await(t, "another comparison", func() bool { return s.Stats().Compared["month1"].Looked > before+1 })
	if !holds(cache, "u:1", "newer") {
		t.Error("anti-entropy took a newer record away")
	}
}

func TestProbesReadTheHomesWritesBackInEveryRegion(t *testing.T) {
	w := newWorld(t)
	home, _ := begin(t, w.config("bj1", "idc", servers.Memcached(t)))
	away, _ := begin(t, w.config("burst1", "burst", servers.Memcached(t)))
	await(t, "both active", func() bool {
		return w.state(t, "bj1") == region.Active && w.state(t, "burst1") == region.Active
	})
	n := 0
	await(t, "probes at 1 s in both regions", func() bool {
		n++
		w.home.set(t, "u:probed", string(rune('a'+n%26)))
		all := home.Stats().Proofs
		return all["bj1"][2].Found > 0 && all["burst1"][2].Found > 0
	})
	if _, ok := away.Stats().Proofs["bj1"]; ok {
		t.Error("a region without a home reads others' caches")
	}
	if n := home.Stats().Wrong; n != 0 {
		t.Errorf("%d probes found an older version at home", n)
	}
}
