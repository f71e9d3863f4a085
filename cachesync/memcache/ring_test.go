package memcache_test

import (
	"fmt"
	"testing"

	"sluice/cachesync/memcache"
)

func TestAddingANodeMovesItsShareAndNoMore(t *testing.T) {
	const n, keys = 8, 100_000
	var servers []string
	for i := range n {
		servers = append(servers, fmt.Sprintf("10.0.0.%d:11211", i+1))
	}
	before, err := memcache.NewRing(servers...)
	if err != nil {
		t.Fatal(err)
	}
	added := "10.0.0.99:11211"
	after, _ := memcache.NewRing(append([]string{added}, servers...)...)
	moved, load := 0, map[string]int{}
	for i := range keys {
		key := fmt.Sprintf("u:%d", i)
		a, _ := before.PickServer(key)
		b, _ := after.PickServer(key)
		load[b.String()]++
		if a.String() != b.String() {
			moved++
			if b.String() != added {
				t.Fatalf("%s moved from %s to %s, which is not new", key, a, b)
			}
		}
	}
	if want := keys / (n + 1); moved < want*7/10 || moved > want*13/10 {
		t.Errorf("%d keys moved, want about %d", moved, want)
	}
	for s, k := range load {
		if want := keys / (n + 1); k < want*7/10 || k > want*13/10 {
			t.Errorf("%s owns %d keys, want about %d", s, k, want)
		}
	}
}

func TestRingRefusesBadServers(t *testing.T) {
	f := func(servers ...string) {
		t.Helper()
		if _, err := memcache.NewRing(servers...); err == nil {
			t.Errorf("%q accepted", servers)
		}
	}
	f("nohost")
	f("")
	f("a:1", "a:1")
	r, err := memcache.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PickServer("k"); err != memcache.ErrNoServers {
		t.Error(err)
	}
}
