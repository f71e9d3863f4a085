package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// joined is how a region's join went, from the start of its Syncer.
type joined struct {
	tailing, active time.Duration
	copied          int
}

func (j joined) String() string {
	return fmt.Sprintf("tailing after %s, active after %s, %d keys copied", j.tailing.Round(time.Millisecond), j.active.Round(time.Millisecond), j.copied)
}

// join lets a burst region join beside one that holds so many keys, while changes go on.
func join(h *servers.Host, keys int) (out joined) {
	h.Part(func() {
		src := newHome(h, servers.Redis(h, "--appendfsync", "no").Addr)
		control := servers.Redis(h, "--appendfsync", "no").Addr
		warm, cold := servers.Memcached(h, "-m", "1024"), servers.Memcached(h, "-m", "1024")
		rdb := redis.NewClient(&redis.Options{Addr: control})
		h.Cleanup(func() { rdb.Close() })
		reg := &region.Registry{RDB: rdb}
		ctx, cancel := context.WithCancel(context.Background())
		h.Cleanup(cancel)
		first := syncer(h, ctx, src.addr, control, "bj1", "idc", warm)
		await(h, reg, "bj1")
		stuff(h, store(h, warm, nil), keys)
		stop := make(chan struct{})
		go func() { // a thousand changes a second go on
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					src.one.Run(ctx, src.rdb, keysOf(i%record.Buckets), fmt.Sprintf("u:%d", i), "changed", int(record.TypeUser))
				}
			}
		}()
		time.Sleep(4 * time.Second) // positions stay behind by three
		began := time.Now()
		second := syncer(h, ctx, src.addr, control, "burst1", "burst", cold)
		for out.tailing == 0 {
			time.Sleep(5 * time.Millisecond)
			if links := second.Stats().Links; len(links) > 0 && links[0].Connected {
				out.tailing = time.Since(began)
			}
		}
		await(h, reg, "burst1")
		out.active = time.Since(began)
		close(stop)
		have := store(h, cold, nil)
		stats, err := have.NodeStats(ctx, cold)
		if err != nil {
			h.Fatalf("bench: %v", err)
		}
		out.copied = int(atoi(stats["curr_items"]))
		cancel()
		time.Sleep(200 * time.Millisecond)
		first.Close()
		second.Close()
	})
	return out
}

func keysOf(b int) []string { return keys(b) }

func syncer(h *servers.Host, ctx context.Context, home, control, name, class, memory string) *cachesync.Syncer {
	s, err := cachesync.NewSyncer(cachesync.Config{
		Region: name, Class: class, Memcached: []string{memory},
		Homes:   []cachesync.Home{{Name: "bj1", Redis: cachesync.Redis{Addrs: []string{home}}}},
		Control: cachesync.Redis{Addrs: []string{control}},
	}, cachesync.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.Fatalf("bench: %v", err)
	}
	go s.Run(ctx)
	return s
}

func await(h *servers.Host, reg *region.Registry, name string) {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		list, _ := reg.List(context.Background())
		for _, r := range list {
			if r.Name == name && r.State == region.Active {
				return
			}
		}
	}
	h.Fatalf("bench: region %s did not become active", name)
}

// stuff fills a memcached with records of 100 bytes.
func stuff(h *servers.Host, c *memcache.Client, keys int) {
	value := record.Record{Type: record.TypeUser, Version: 1, Payload: []byte(strings.Repeat("x", 100))}.Append(nil)
	ops := make([]memcache.Op, 4096)
	for from := 0; from < keys; from += len(ops) {
		n := min(len(ops), keys-from)
		for i := range n {
			ops[i] = memcache.Op{Kind: memcache.Set, Key: fmt.Sprintf("u:%d", 1_000_000+from+i), Value: value}
		}
		if err := c.Do(context.Background(), ops[:n]); err != nil {
			h.Fatalf("bench: fill memcached: %v", err)
		}
	}
}
