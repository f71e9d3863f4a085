package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// cleared is how a backlog went.
type cleared struct {
	took    time.Duration
	records int64
	writes  int64 // operations that changed memcached
	bytes   int64
	maxSize int64 // bytes read and not yet written
}

func (c cleared) perSecond() float64 { return float64(c.records) / c.took.Seconds() }
func (c cleared) saving() float64    { return float64(c.records) / float64(max(1, c.writes)) }
func (c cleared) String() string {
	return fmt.Sprintf("%d records in %s (%.0f/s), %d writes to memcached, %d MB read, at most %d MB pending",
		c.records, c.took.Round(time.Millisecond), c.perSecond(), c.writes, c.bytes>>20, c.maxSize>>20)
}

// backlog fills the logs, then lets an applier find them.
func backlog(h *servers.Host, records, different int) (out cleared) {
	h.Part(func() {
		src := newHome(h, servers.Redis(h, "--appendfsync", "no").Addr)
		fill(h, src, records, different)
		memory := servers.Memcached(h, "-m", "1024")
		changelog.Beat(context.Background(), src.rdb, buckets())
		began := time.Now()
		a, stop := start(src, apply.Config{Store: store(h, memory, nil), Now: time.Now})
		heads := map[int]changelog.ID{}
		for _, b := range buckets() {
			heads[b], _ = changelog.Head(context.Background(), src.rdb, b)
		}
		for !reached(a.Written(), heads) {
			out.maxSize = max(out.maxSize, a.Stats().BacklogBytes)
			time.Sleep(2 * time.Millisecond)
			if time.Since(began) > time.Minute {
				h.Fatalf("bench: the backlog is not gone after a minute: %+v", a.Stats())
			}
		}
		out.took = time.Since(began)
		stop()
		st := a.Stats()
		// Changes that a second pass repeats do not count.
		out.records, out.writes, out.bytes = int64(records/record.Buckets*record.Buckets), st.Counts.Writes(), st.BytesRead
	})
	return out
}

func reached(at, heads map[int]changelog.ID) bool {
	for b, id := range heads {
		if id.After(at[b]) {
			return false
		}
	}
	return true
}

// fill writes records round-robin over the buckets, each with an entry of its own.
func fill(h *servers.Host, src *home, records, different int) {
	ctx := context.Background()
	payload := strings.Repeat("x", 100)
	const piece = 1000
	perBucket, perKeys := records/record.Buckets, different/record.Buckets
	for from := 0; from < perBucket; from += piece {
		pipe := src.rdb.Pipeline()
		for b := range record.Buckets {
			// Each bucket has keys of its own: u:<bucket>-<i mod n>.
			pipe.EvalSha(ctx, src.many.Hash(), keys(b), from, min(from+piece, perBucket), fmt.Sprintf("u:%d-", b), perKeys, payload)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			h.Fatalf("bench: fill the logs: %v", err)
		}
	}
}
