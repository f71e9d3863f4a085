package redpacket

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// countedStore counts the batches that only read.
type countedStore struct {
	cachesync.Store
	batches atomic.Int64
}

func (s *countedStore) Do(ctx context.Context, ops []memcache.Op) error {
	if ops[0].Kind == memcache.Get {
		s.batches.Add(1)
	}
	return s.Store.Do(ctx, ops)
}

// copying gives the world's desk a cache that keeps copies of red packets, and hears of changes
// when the test says so.
func (w *world) copying(t *testing.T) (*cachesync.Cache, *countedStore) {
	client, err := memcache.New(memcache.Config{Servers: []string{servers.Memcached(t)}})
	w.must(err)
	t.Cleanup(func() { client.Close() })
	store := &countedStore{Store: client}
	cache := cachesync.NewCache(cachesync.CacheConfig{Store: store, Local: cachesync.LocalConfig{Silence: time.Hour},
		Keep: func(key string, _ cachesync.Record) time.Duration {
			if key[:3] == record.PrefixRedPacket {
				return time.Hour
			}
			return 0
		}})
	t.Cleanup(cache.Close)
	cache.Source(record.PrefixRedPacket, NewSource(w.house), cachesync.Limits{})
	cache.Source("wf:", NewFilterSource(w.house), cachesync.Limits{})
	cache.Alive()
	w.desk, err = NewHome(HomeConfig{House: w.house, Cache: cache, Filters: NewFilters(cache)})
	w.must(err)
	return cache, store
}

// heard empties the region's memory of a red packet, as its change does.
func (w *world) heard(cache *cachesync.Cache, store *countedStore, id ID) {
	key := cachesync.RedPacketKey(id.String())
	w.must(store.Store.Do(context.Background(), []memcache.Op{{Kind: memcache.Delete, Key: key}}))
	cache.Applied(key, ^cachesync.Version(0))
}

func TestLosersAreAnsweredFromTheCopyOfThisProcess(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		cache, store := w.copying(t)
		id := w.fund(`{"amount":2000,"count":10}`)
		for i := range 10 {
			if out := w.draw(id, uidOf(i)); out.Kind != Won { // the copy says open: home decides all the same
				t.Fatalf("%+v", out)
			}
		}
		if out := w.draw(id, "loser"); out.Kind != SoldOut {
			t.Fatalf("by a copy that is too old, %+v", out)
		}
		w.settle()
		w.closer.filterAt = time.Time{}
		w.must(w.closer.Step(ctx))
		w.heard(cache, store, id)
		w.draw(id, "loser") // brings record and filter into the process
		before, asked := store.batches.Load(), 0
		for i := range 200 {
			seen, err := lookAt(w.desk, ctx, id, fmt.Sprint("loser", i))
			w.must(err)
			if out, ok := seen.Decide(); !ok {
				asked++
			} else if out.Kind != SoldOut {
				t.Fatalf("%+v", out)
			}
		}
		if n := store.batches.Load() - before; n > 40 || asked > 40 { // one in a hundred asks, and fills look too
			t.Errorf("200 losers cost %d batches to memcached, %d had to ask", n, asked)
		}
		for i := range 10 {
			if out := w.draw(id, uidOf(i)); out.Kind != Already {
				t.Fatalf("a winner heard %+v", out)
			}
		}
		_, err := w.desk.Close(ctx, id, "")
		w.must(err)
		w.heard(cache, store, id)
		w.draw(id, "loser")
		if seen, err := lookAt(w.desk, ctx, id, "loser"); err != nil || seen.State.State != StateClosed {
			t.Fatalf("after the change was heard: %+v, %v", seen, err)
		}
		if out := w.draw(id, uidOf(3)); out.Kind != Already {
			t.Fatalf("a winner heard %+v", out)
		}
	})
}

func TestEarlyBirdsAreAnsweredFromTheCopyUntilItOpens(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, store := w.copying(t)
		opens := time.Now().Add(3 * time.Second)
		id := w.fund(`{"amount":2000,"count":10,"opens_at":"` + opens.UTC().Format(time.RFC3339Nano) + `"}`)
		w.draw(id, "first")
		before := store.batches.Load()
		for i := range 50 {
			if out := w.draw(id, uidOf(i)); out.Kind != NotOpen && time.Until(opens) > time.Second {
				t.Fatalf("%+v", out)
			}
		}
		if n := store.batches.Load() - before; n > 5 && time.Until(opens) > time.Second {
			t.Errorf("50 early birds cost %d reads of memcached", n)
		}
	})
}

func TestADrawMakesLittleGarbage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	addr := servers.Redis(t).Addr
	w := newWorld(t, addr, false)
	w.must(w.certifier.Step(context.Background()))
	w.pipelined(addr)
	cache, _ := w.copying(t)
	cache.Source(record.PrefixUser, everyone{}, cachesync.Limits{})
	id := w.fund(`{"amount":2000000,"count":10000}`)
	uids := make([]string, 600)
	for i := range uids {
		uids[i] = uidOf(i)
		if _, err := lookAt(w.desk, context.Background(), id, uids[i]); err != nil { // brings the user into memcached
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond) // fills are stored behind the answer
	next := 0
	n := testing.AllocsPerRun(500, func() {
		uid := uids[next]
		next++
		seen, err := lookAt(w.desk, context.Background(), id, uid)
		w.must(err)
		if out, err := w.desk.Draw(context.Background(), DrawRequest{ID: id, UID: uid, Seen: &seen}); err != nil || out.Kind != Won {
			t.Fatal(out, err)
		}
	})
	if n > 5 {
		t.Errorf("look and draw allocate %v times", n)
	}
}

// everyone is a user source that knows all.
type everyone struct{}

func (everyone) Fill(_ context.Context, keys []string) ([]cachesync.Filled, error) {
	out := make([]cachesync.Filled, len(keys))
	for i, key := range keys {
		out[i] = cachesync.Filled{Key: key, Record: cachesync.Record{Type: cachesync.TypeUser, Version: cachesync.MakeVersion(1, 1, 1), CommitMS: time.Now().UnixMilli(), Payload: []byte(`{"level":1}`)}}
	}
	return out, nil
}
