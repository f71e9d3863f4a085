package cachesync

import (
	"context"
	"fmt"
	"testing"

	"sluice/cachesync/apply"
	"sluice/internal/servers"
)

// lister is a home that can list everything it holds.
type lister map[string]string

func (l lister) Snapshot(_ context.Context, emit func([]Filled) error) error {
	var out []Filled
	for key, payload := range l {
		out = append(out, Filled{Key: key, Record: Record{Type: TypeUser, Version: MakeVersion(1, 1, 0), Payload: []byte(payload)}})
	}
	return emit(out)
}

func TestRestartedMemcachedIsNoticedAndWarmedAgain(t *testing.T) {
	addr := servers.Redis(t, "--appendfsync", "no").Addr
	h := newHome(t, addr)
	mem := servers.StartMemcached(t)
	store := newStore(t, mem.Addr)
	listed := lister{}
	for i := range 500 {
		listed[fmt.Sprint("u:old", i)] = "listed"
	}
	s := run(t, Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}},
		Deps{Store: store, Snapshots: []Snapshotter{listed}})
	await(t, "connection", func() bool { return s.Ready() == nil })
	h.set(t, "u:recent", "x")
	c := NewCache(CacheConfig{Store: store})
	await(t, "change", func() bool { return holds(c, "u:recent", "x") })
	positions := apply.CachePositions{Store: store}
	await(t, "a saved position", func() bool {
		at, _, _ := positions.Look(t.Context(), s.links[0].home.PositionName(0))
		return len(at) > 0
	})
	mem.Kill()
	mem.Start()
	for key := range listed {
		await(t, key, func() bool { return holds(c, key, "listed") })
	}
	await(t, "the change of a moment ago", func() bool { return holds(c, "u:recent", "x") })
}

func TestANodeThatIsDownHoldsUpNoWarmUpOfTheOthers(t *testing.T) {
	addr := servers.Redis(t, "--appendfsync", "no").Addr
	newHome(t, addr)
	down := servers.StartMemcached(t)
	store := newStore(t, servers.Memcached(t), down.Addr)
	down.Kill()
	listed, odd := lister{}, map[string]bool{}
	for i := range 200 {
		key := fmt.Sprint("u:old", i)
		node, _ := store.Owner(key)
		listed[key], odd[key] = "listed", node == down.Addr
	}
	run(t, Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}},
		Deps{Store: store, Snapshots: []Snapshotter{listed}})
	c := NewCache(CacheConfig{Store: store})
	for _, late := range []bool{false, true} {
		for key := range listed {
			if odd[key] == late {
				await(t, key, func() bool { return holds(c, key, "listed") })
			}
		}
		if !late {
			down.Start()
		}
	}
}

func TestASyncerBeginsThoughANodeIsDown(t *testing.T) {
	addr := servers.Redis(t, "--appendfsync", "no").Addr
	h := newHome(t, addr)
	down := servers.StartMemcached(t)
	store := newStore(t, servers.Memcached(t), down.Addr)
	well, ill := "", ""
	for i := 0; well == "" || ill == ""; i++ {
		key := fmt.Sprint("u:", i)
		if node, _ := store.Owner(key); node == down.Addr {
			ill = key
		} else {
			well = key
		}
	}
	cfg := Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}}
	c := NewCache(CacheConfig{Store: store})
	t.Run("before", func(t *testing.T) {
		s := run(t, cfg, Deps{Store: store})
		await(t, "connection", func() bool { return s.Ready() == nil })
		for _, key := range []string{well, ill} {
			h.set(t, key, "1")
			await(t, key, func() bool { return holds(c, key, "1") })
		}
		positions := apply.CachePositions{Store: store}
		await(t, "a saved position", func() bool {
			at, _, _ := positions.Look(t.Context(), cfg.Homes[0].PositionName(0))
			return len(at) > 0
		})
	})
	down.Pause()
	await(t, "a node that is down", func() bool { return !holds(c, ill, "1") })
	run(t, cfg, Deps{Store: store})
	for _, key := range []string{well, ill} {
		h.set(t, key, "2")
	}
	await(t, "a change for the other node", func() bool { return holds(c, well, "2") })
	down.Resume()
	await(t, "a change for the node that is back", func() bool { return holds(c, ill, "2") })
}

// Both are gone at once, as with a machine: who begins does not know what was there.
func TestColdStartIsWarmedFromTheOwnHome(t *testing.T) {
	w := newWorld(t)
	listed := lister{}
	for i := range 500 {
		listed[fmt.Sprint("u:old", i)] = "listed"
	}
	for _, begins := range []string{"new", "active until now"} {
		mem := servers.Memcached(t)
		store := newStore(t, mem)
		s := run(t, w.config("bj1", "idc", mem), Deps{Store: store, Snapshots: []Snapshotter{listed}})
		await(t, "readiness", func() bool { return s.Ready() == nil })
		c := NewCache(CacheConfig{Store: store})
		for key := range listed {
			if begins == "new" && !holds(c, key, "listed") {
				t.Fatalf("%s is missing in a region that is ready", key)
			}
			await(t, begins+": "+key, func() bool { return holds(c, key, "listed") })
		}
	}
}
