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

// visibility is how long records took to be seen.
//
// A record is committed when Redis has fsynced it (appendfsync always, as a home's Redis must):
// only then does it answer, and that is when a win is told. The first answer that tells of it,
// be it the client's or the applier's, is the commit. It is visible when memcached has answered
// the applier's write. A replica has it when it answers a reader with it. All these are the
// moments at which those answers were sent (stamps), so who measures late does not count.
type visibility struct {
	commit          spread // from the script's own clock, near its beginning
	region, replica spread // from the commit
	whole           spread // region, from the script's own clock
}

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
		began, committed := make([]int64, n), make([]int64, n)
		read, seen, copied := make([]atomic.Int64, n), make([]atomic.Int64, n), make([]atomic.Int64, n)
		note := func(to []atomic.Int64, by *stamps) func(string, record.Version) {
			return func(key string, _ record.Version) {
				if i, err := strconv.Atoi(key[2:]); err == nil && i < n {
					to[i].Store(by.last.Load())
				}
			}
		}
		var asked, written, told stamps
		a, stop := start(src, apply.Config{
			Reader: &listener{reader(primary.Addr, &asked), note(read, &asked)},
			Store:  store(h, servers.Memcached(h), &written), Applied: note(seen, &written),
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go follow(ctx, replica.Addr, &told, note(copied, &told))
		for a.Stats().Heard.IsZero() {
			changelog.Beat(ctx, src.rdb, buckets())
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2500 * time.Millisecond) // behind the second pass that every start has
		load(h, src, perSecond, began, committed)
		time.Sleep(300 * time.Millisecond)
		stop()
		for i := perSecond; i < n; i++ { // the first second warms up
			if t := read[i].Load(); t != 0 {
				committed[i] = min(committed[i], t)
			}
			out.commit.add(began[i], committed[i])
			if t := seen[i].Load(); t != 0 {
				out.region.add(committed[i], t)
				out.whole.add(began[i], t)
			} else {
				fmt.Println("never visible:", i)
			}
			if t := copied[i].Load(); t != 0 {
				out.replica.add(committed[i], t)
			}
		}
		for _, s := range []*spread{&out.commit, &out.region, &out.replica, &out.whole} {
			s.sort()
		}
	})
	return out
}

// turnful is how many changes Redis reads at once (16 KB), and then answers at once.
const turnful = 50

// load commits wins, as a red packet does, at a steady rate, whatever becomes of it: a pipeline of
// what is due each ms, and of a turnful at most, so that all in it are committed by one fsync.
func load(h *servers.Host, src *home, perSecond int, began, committed []int64) {
	ctx := context.Background()
	payload := strings.Repeat("x", 100)
	start := time.Now()
	for i := 0; i < len(began); {
		due := min(len(began), i+turnful, int(time.Since(start).Seconds()*float64(perSecond)))
		if due <= i {
			time.Sleep(500 * time.Microsecond)
			continue
		}
		pipe := src.rdb.Pipeline()
		cmds := make([]*redis.Cmd, 0, due-i)
		for j := i; j < due; j++ {
			cmds = append(cmds, pipe.EvalSha(ctx, src.one.Hash(), keys(j%record.Buckets), "w:"+strconv.Itoa(j), payload, int(record.TypeWin)))
		}
		src.answers.reset()
		if _, err := pipe.Exec(ctx); err != nil {
			h.Fatalf("bench: commit: %v", err)
		}
		for _, c := range cmds {
			began[i] = atoi(c.Val().(string))
			committed[i] = src.answers.first.Load()
			i++
		}
	}
}

// listener is a Reader; heard is told of each record before its Sink is.
type listener struct {
	*changelog.Reader
	heard func(string, record.Version)
}

func (l *listener) Read(ctx context.Context, pos []changelog.ID, to changelog.Sink) (int, bool, error) {
	return l.Reader.Read(ctx, pos, listening{to, l.heard})
}

type listening struct {
	changelog.Sink
	heard func(string, record.Version)
}

func (l listening) Entry(b int, e *changelog.Entry) {
	for i := range e.Changes {
		l.heard(e.Changes[i].Key, e.Version)
	}
	l.Sink.Entry(b, e)
}

// follow reads the replica's logs and does nothing with them.
func follow(ctx context.Context, addr string, by *stamps, heard func(string, record.Version)) {
	r := &listener{reader(addr, by), heard}
	defer r.Close()
	s := sink(make([]changelog.ID, record.Buckets))
	for ctx.Err() == nil {
		if _, _, err := r.Read(ctx, s, s); err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// sink keeps positions only.
type sink []changelog.ID

func (s sink) Entry(b int, e *changelog.Entry)    { s[b] = e.ID }
func (s sink) Malformed(int, changelog.ID, error) {}
func (s sink) Beat(int64)                         {}
