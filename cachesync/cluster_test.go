package cachesync

import (
	"fmt"
	"testing"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// A home that is a Redis Cluster: each bucket has a slot of its own, so each has a connection,
// a position and heartbeats of its own.
func TestHomeThatIsAClusterIsFollowedCopiedAndTrimmed(t *testing.T) {
	three := servers.StartRedisCluster(t, 3, "--appendfsync", "no")
	w := newWorld(t)
	w.home = newHome(t, three.Addrs...)
	config := func(name, class, memcached string) Config {
		cfg := w.config(name, class, memcached)
		cfg.Homes[0].Redis = Redis{Addrs: three.Addrs, Cluster: true}
		return cfg
	}
	const users = 300 // several in each bucket
	var caches []*Cache
	enter := func(name, class string) {
		memcached := servers.Memcached(t)
		store, err := memcache.New(memcache.Config{Servers: []string{memcached}, Authoritative: true,
			Timeout: 10 * time.Second}) // a slow machine is no reason to empty it
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		run(t, config(name, class, memcached), Deps{Store: store})
		await(t, name+" active", func() bool { return w.state(t, name) == region.Active })
		caches = append(caches, NewCache(CacheConfig{Store: store}))
	}
	key := func(i int) string { return fmt.Sprint("u:", i) }
	change := func(what string, some func(bucket int) bool) {
		t.Helper()
		var keys []string
		for i := range users {
			if some(BucketOf(key(i))) {
				keys = append(keys, key(i))
				w.home.set(t, key(i), what)
			}
		}
		for n, c := range caches {
			for _, k := range keys {
				await(t, fmt.Sprint(k, " in region ", n, ": ", what), func() bool { return holds(c, k, what) })
			}
		}
	}
	all := func(int) bool { return true }
	enter("bj1", "idc")
	change("one region", all)
	enter("burst1", "burst") // copies bj1
	for i := range users {
		await(t, key(i)+" copied", func() bool { return holds(caches[1], key(i), "one region") })
	}
	change("two regions", all)

	down := map[int]bool{}
	for b := range Buckets {
		down[b] = three.Owner(changelog.LogKey(b)) == three.Nodes[1]
	}
	three.Nodes[1].Kill()
	change("a node is down", func(b int) bool { return !down[b] })
	three.Nodes[1].Start()
	three.Await()
	change("it is back", all)

	moved := BucketOf(key(7))
	for _, node := range three.Nodes {
		three.Move(changelog.LogKey(moved), node)
		change("the slot is at "+node.Addr, all)
	}

	await(t, "trimming", func() bool {
		var n int64
		for b := range Buckets {
			n += w.home.rdb.XLen(t.Context(), changelog.LogKey(b)).Val()
		}
		return n <= Buckets
	})
}
