package cachesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/goredis"
	"sluice/cachesync/memcache"
	"sluice/internal/servers"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// home is a Redis with changes to be made.
type home struct {
	rdb    redis.UniversalClient
	script *redis.Script
}

// newHome is one Redis, or a cluster of several.
func newHome(t testing.TB, addrs ...string) *home {
	rdb := goredis.New(&redis.UniversalOptions{Addrs: addrs, IsClusterMode: len(addrs) > 1})
	t.Cleanup(func() { rdb.Close() })
	for b := range Buckets {
		if _, err := changelog.Raise(context.Background(), rdb, b, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	return &home{rdb, redis.NewScript(changelog.Prelude(1) + `return commit({ARGV[1], ARGV[2], '0', ARGV[3]})`)}
}

// commit sends the script that changes key, on a connection or in a pipeline; on a cluster all it
// touches stands in one slot.
func (h *home) commit(ctx context.Context, c redis.Scripter, key, payload string) *redis.Cmd {
	b := BucketOf(key)
	keys := []string{changelog.MetaKey(b), changelog.LogKey(b), changelog.WinKey(b)}
	return h.script.Eval(ctx, c, keys, key, int(TypeUser), payload) // whole: a Redis that was restarted knows no script
}

func (h *home) set(t testing.TB, key, payload string) {
	t.Helper()
	if err := h.commit(context.Background(), h.rdb, key, payload).Err(); err != nil {
		t.Fatal(err)
	}
}

// head is the newest entry of the key's log, for messages.
func (h *home) head(key string) string {
	return fmt.Sprint(h.rdb.XRevRangeN(context.Background(), changelog.LogKey(BucketOf(key)), "+", "-", 1).Val())
}

func newStore(t testing.TB, addrs ...string) *memcache.Client {
	c, err := memcache.New(memcache.Config{Servers: addrs, Authoritative: true, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// run starts a Syncer that ends with the test, before what it uses.
func run(t testing.TB, cfg Config, deps Deps) *Syncer {
	t.Helper()
	deps.Log = quiet()
	s, err := NewSyncer(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		s.Close()
	})
	return s
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func holds(c *Cache, key, payload string) bool {
	reads := []Read{{Key: key, NoFill: true}}
	c.Read(context.Background(), reads)
	return reads[0].State == Hit && string(reads[0].Record.Payload) == payload
}

func TestSingleRegionBringsItsHomesChangesIntoItsCache(t *testing.T) {
	f := func(t *testing.T, redisAddr string) {
		h := newHome(t, redisAddr)
		store := newStore(t, servers.Memcached(t))
		cache := NewCache(CacheConfig{Store: store, Keep: func(string, Record) time.Duration { return time.Hour }})
		s := run(t, Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{redisAddr}}}}},
			Deps{Store: store, Caches: []*Cache{cache}})
		await(t, "connection", func() bool { return s.Ready() == nil })
		for round := range 5 {
			for i := range 100 {
				h.set(t, fmt.Sprint("u:", i), fmt.Sprint("round ", round))
			}
			for i := range 100 {
				key := fmt.Sprint("u:", i)
				await(t, key, func() bool { return holds(cache, key, fmt.Sprint("round ", round)) })
				holds(cache, key, fmt.Sprint("round ", round))
			}
		}
		await(t, "trimming", func() bool {
			var n int64
			for b := range Buckets {
				n += h.rdb.XLen(context.Background(), changelog.LogKey(b)).Val()
			}
			return n <= Buckets
		})
		if st := cache.Stats(); st.LocalHits == 0 {
			t.Error("no process-local copy was used")
		}
	}
	t.Run("miniredis", func(t *testing.T) { f(t, miniredis.RunT(t).Addr()) })
	t.Run("redis", func(t *testing.T) { f(t, servers.Redis(t).Addr) })
}

func TestRestartedSyncerGoesOnWhereItStopped(t *testing.T) {
	addr := servers.Redis(t).Addr
	h := newHome(t, addr)
	store := newStore(t, servers.Memcached(t))
	cache := NewCache(CacheConfig{Store: store})
	cfg := Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}}
	for round := range 3 {
		h.set(t, "u:x", fmt.Sprint("while away ", round))
		t.Run("", func(t *testing.T) {
			s := run(t, cfg, Deps{Store: store})
			if round > 0 {
				await(t, "what came meanwhile", func() bool { return holds(cache, "u:x", fmt.Sprint("while away ", round)) })
			}
			await(t, "connection", func() bool { return s.Ready() == nil })
			h.set(t, "u:y", fmt.Sprint("live ", round))
			await(t, "live change", func() bool { return holds(cache, "u:y", fmt.Sprint("live ", round)) })
		})
	}
}

func TestConfigSaysWhichFieldIsWrong(t *testing.T) {
	_, err := NewSyncer(Config{Region: "Bad Name", Homes: []Home{{Name: "a", Redis: Redis{Addrs: []string{"x"}}}}}, Deps{})
	for _, want := range []string{"region: ", "homes[0].redis.addrs[0]: "} {
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// What no replica has is not shown: a promoted one would not know it.
func TestAChangeIsShownOnlyWhenAReplicaHasIt(t *testing.T) {
	primary := servers.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := servers.Redis(t, "--replicaof", host+" "+port)
	h := newHome(t, primary.Addr)
	store := newStore(t, servers.Memcached(t))
	s := run(t, Config{Region: "a", Homes: []Home{{Name: "a", Redis: Redis{Addrs: []string{primary.Addr}}, Replicas: 1}}}, Deps{Store: store})
	await(t, "ready", func() bool { return s.Ready() == nil })
	shown := func(key string) bool {
		items, err := store.GetMulti([]string{key})
		return err == nil && len(items) == 1
	}
	h.set(t, "u:followed", "x")
	await(t, "a change that the replica has is shown", func() bool { return shown("u:followed") })
	replica.Kill()
	h.set(t, "u:alone", "x")
	time.Sleep(700 * time.Millisecond)
	if shown("u:alone") {
		t.Fatal("shown without a replica")
	}
	replica.Start()
	await(t, "the change is shown when the replica has it", func() bool { return shown("u:alone") })
}
