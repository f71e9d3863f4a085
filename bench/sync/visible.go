package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// visibility is how long records took from their commit, by the clock of Redis, until
// memcached had confirmed them, and until a reader at a Redis replica had them.
type visibility struct{ region, replica spread }

func visible(h *servers.Host, perSecond int, d time.Duration) (out visibility) {
	h.Part(func() {
		primary := servers.Redis(h)
		host, port, _ := strings.Cut(primary.Addr, ":")
		replica := servers.Redis(h, "--replicaof", host+" "+port, "--appendonly", "no")
		src := newHome(h, primary.Addr)
		copies := redis.NewClient(&redis.Options{Addr: replica.Addr})
		for !strings.Contains(copies.Info(context.Background(), "replication").Val(), "master_link_status:up") {
			time.Sleep(50 * time.Millisecond)
		}
		copies.Close()
		n := perSecond * int(d/time.Second)
		commits, seen, copied := make([]int64, n), make([]atomic.Int64, n), make([]atomic.Int64, n)
		note := func(to []atomic.Int64) func(string, record.Version) {
			return func(key string, _ record.Version) {
				if i, err := strconv.Atoi(key[2:]); err == nil && i < n {
					to[i].Store(time.Now().UnixMicro())
				}
			}
		}
		a, stop := start(src, apply.Config{Store: store(h, servers.Memcached(h)), Applied: note(seen)})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go follow(ctx, replica.Addr, note(copied))
		for a.Stats().Heard.IsZero() {
			changelog.Beat(ctx, src.rdb, buckets())
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2500 * time.Millisecond) // behind the second pass that every start has
		load(h, src, perSecond, commits)
		time.Sleep(300 * time.Millisecond)
		stop()
		for i := perSecond; i < n; i++ { // the first second warms up
			if commits[i] == 0 {
				continue
			}
			if t := seen[i].Load(); t != 0 {
				out.region.all = append(out.region.all, time.Duration(max(0, t-commits[i]))*time.Microsecond)
			} else {
				fmt.Println("never visible:", i)
			}
			if t := copied[i].Load(); t != 0 {
				out.replica.all = append(out.replica.all, time.Duration(max(0, t-commits[i]))*time.Microsecond)
			}
		}
		out.region.sort()
		out.replica.sort()
	})
	return out
}

// load commits wins, as a red packet does, at a steady rate, whatever becomes of it: a pipeline of what is due each ms.
func load(h *servers.Host, src *home, perSecond int, commits []int64) {
	ctx := context.Background()
	payload := strings.Repeat("x", 100)
	began := time.Now()
	for i := 0; i < len(commits); {
		due := min(len(commits), int(time.Since(began).Seconds()*float64(perSecond)))
		if due <= i {
			time.Sleep(500 * time.Microsecond)
			continue
		}
		pipe := src.rdb.Pipeline()
		cmds := make([]*redis.Cmd, 0, due-i)
		for j := i; j < due; j++ {
			cmds = append(cmds, pipe.EvalSha(ctx, src.one.Hash(), keys(j%record.Buckets), "w:"+strconv.Itoa(j), payload, int(record.TypeWin)))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			h.Fatalf("bench: commit: %v", err)
		}
		for _, c := range cmds {
			commits[i] = atoi(c.Val().(string))
			i++
		}
	}
}

// follow reads the replica's logs and does nothing with them.
func follow(ctx context.Context, addr string, seen func(string, record.Version)) {
	r := reader(addr)
	defer r.Close()
	s := &sink{pos: make([]changelog.ID, record.Buckets), seen: seen}
	for ctx.Err() == nil {
		if _, _, err := r.Read(ctx, s.pos, s); err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

type sink struct {
	pos  []changelog.ID
	seen func(string, record.Version)
}

func (s *sink) Entry(b int, e *changelog.Entry) {
	s.pos[b] = e.ID
	for i := range e.Changes {
		s.seen(e.Changes[i].Key, e.Version)
	}
}
func (s *sink) Malformed(int, changelog.ID, error) {}
func (s *sink) Beat(int64)                         {}
