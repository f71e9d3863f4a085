package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sluice/internal/servers"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// home is a Redis with changes to be made.
type home struct {
	addr string
	rdb  *redis.Client
	one  *redis.Script // one change; returns its commit time in microseconds
	many *redis.Script // many changes in one call, each with an entry of its own

	answers stamps // of rdb's connections
}

func newHome(h *servers.Host, addr string) *home {
	x := &home{addr: addr,
		one: redis.NewScript(changelog.Prelude(1) + `
commit({ARGV[1], ARGV[3], '0', ARGV[2]})
return clock[1] .. string.format('%06d', tonumber(clock[2]))`),
		many: redis.NewScript(changelog.Prelude(1) + `
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  commit({ARGV[3] .. string.format('%.0f', i % tonumber(ARGV[4])), '3', '0', ARGV[5]})
end
return 0`)}
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DisableIdentity: true, Protocol: 2,
		ReadTimeout: 30 * time.Second, Dialer: x.answers.dial})
	h.Cleanup(func() { rdb.Close() })
	x.rdb = rdb
	ctx := context.Background()
	for b := range record.Buckets {
		if _, err := changelog.Raise(ctx, rdb, b, 1, 0); err != nil {
			h.Fatalf("%v", err)
		}
	}
	for _, s := range []*redis.Script{x.one, x.many} {
		if err := s.Load(ctx, rdb).Err(); err != nil {
			h.Fatalf("bench: load script: %v", err)
		}
	}
	return x
}

func keys(b int) []string {
	return []string{changelog.MetaKey(b), changelog.LogKey(b), changelog.WinKey(b)}
}

func buckets() []int {
	all := make([]int, record.Buckets)
	for b := range all {
		all[b] = b
	}
	return all
}

func reader(addr string, s *stamps) *changelog.Reader {
	return changelog.NewReader(changelog.ReaderConfig{Buckets: buckets(), Dial: func(ctx context.Context) (net.Conn, error) {
		return s.dial(ctx, "tcp", addr)
	}})
}

func store(h *servers.Host, addr string, s *stamps) *memcache.Client {
	c, err := memcache.New(memcache.Config{Servers: []string{addr}, Authoritative: true, Timeout: 2 * time.Second, Dial: s.dial})
	if err != nil {
		h.Fatalf("bench: %v", err)
	}
	h.Cleanup(func() { c.Close() })
	return c
}

// start runs an applier as a Syncer would; stop ends it.
func start(src *home, cfg apply.Config) (a *apply.Applier, stop func()) {
	cfg.Source, cfg.Buckets = "home", buckets()
	if cfg.Reader == nil {
		cfg.Reader = reader(src.addr, nil)
	}
	cfg.Positions = &apply.CachePositions{Store: cfg.Store}
	cfg.Log = slog.New(slog.DiscardHandler)
	a = apply.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	return a, func() { cancel(); <-done }
}

// spread is a set of durations.
type spread struct{ all []time.Duration }

// add takes what passed between two times in microseconds.
func (s *spread) add(from, to int64) {
	s.all = append(s.all, time.Duration(max(0, to-from))*time.Microsecond)
}

func (s *spread) n() int { return len(s.all) }

func (s *spread) sort() { slices.Sort(s.all) }

// at is the q-th percentile of what was sorted.
func (s *spread) at(q float64) time.Duration {
	if len(s.all) == 0 {
		return 0
	}
	return s.all[min(len(s.all)-1, int(float64(len(s.all))*q/100))]
}

func (s *spread) String() string {
	return fmt.Sprintf("p50 %s p99 %s p99.9 %s max %s", s.at(50), s.at(99), s.at(99.9), s.at(100))
}

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
