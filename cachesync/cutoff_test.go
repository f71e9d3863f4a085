package cachesync

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// TestRegionCutOffForTenMinutesCostsBoundedMemory is a drill: make drill-sync.
func TestRegionCutOffForTenMinutesCostsBoundedMemory(t *testing.T) {
	if !drill() {
		t.Skip("a drill of ten minutes: make drill-sync")
	}
	const (
		cutOff    = 10 * time.Minute
		logCap    = 64 << 20
		mostRSS   = 200 << 20
		perSecond = 5000
	)
	ctx := context.Background()
	homeRedis := servers.Redis(t, "--appendfsync", "no")
	control := servers.Redis(t, "--appendfsync", "no")
	h := newHome(t, homeRedis.Addr)
	rdb := redis.NewClient(&redis.Options{Addr: control.Addr})
	t.Cleanup(func() { rdb.Close() })
	reg := &region.Registry{RDB: rdb, Lease: 2 * time.Second, Grace: 5 * time.Second}
	line := newWire(t, homeRedis.Addr)
	var procs []*syncerProcess
	var caches []*Cache
	for i, name := range []string{"bj1", "month1"} {
		mem := servers.StartMemcached(t)
		cfg := Config{
			Region: name, Class: []string{"idc", "monthly"}[i], Memcached: []string{mem.Addr}, Lease: 2 * time.Second, Grace: 5 * time.Second,
			Homes:   []Home{{Name: "bj1", Redis: Redis{Addrs: []string{homeRedis.Addr}}}},
			Control: Redis{Addrs: []string{control.Addr}}, LogCapBytes: logCap,
		}
		if name == "month1" { // the home's line is cut, and the one to the control region is not: it holds its lease all the time
			cfg.Homes[0].Redis.Addrs[0] = line.addr
		}
		procs = append(procs, startProcess(t, cfg))
		caches = append(caches, NewCache(CacheConfig{Store: newStore(t, mem.Addr)}))
		await(t, name+" active", func() bool { return listed(reg, name) == region.Active })
	}
	last, stop := flood(t, h, perSecond)
	before := usedMemory(t, h.rdb)
	line.cut(true)
	for end := time.Now().Add(cutOff); time.Now().Before(end); time.Sleep(5 * time.Second) {
		used, entries := usedMemory(t, h.rdb), int64(0)
		for b := range Buckets {
			entries += h.rdb.XLen(ctx, changelog.LogKey(b)).Val()
		}
		t.Logf("home %d MB, log %d entries, syncers %d and %d MB", used>>20, entries, procs[0].rss(t)>>20, procs[1].rss(t)>>20)
		if used > before+2*logCap {
			t.Fatalf("the home's Redis grew from %d to %d bytes, the logs' cap is %d", before, used, logCap)
		}
	}
	line.cut(false)
	await(t, "month1 active again", func() bool { return listed(reg, "month1") == region.Active })
	stop()
	mended := time.Now()
	for i, c := range caches {
		missing := 0 // on a busy machine some are written too late, here too: to be filled on demand
		for key, want := range last {
			for {
				reads := []Read{{Key: key, NoFill: true}}
				c.Read(ctx, reads)
				got := reads[0]
				if got.State == Miss && got.Err == nil {
					missing++
					break
				}
				if got.State == Hit && string(got.Record.Payload) == want {
					break
				}
				if time.Since(mended) > 2*time.Minute {
					list, _ := reg.List(ctx)
					t.Fatalf("%s in region %d is %v %.20q (%v), want %.20q; regions: %+v", key, i, got.State, got.Record.Payload, got.Err, want, list)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		t.Logf("region %d: %d keys equal, %d to be filled on demand, %s after the line was mended", i, len(last)-missing, missing, time.Since(mended).Round(time.Millisecond))
		if rss := procs[i].rss(t); rss > mostRSS {
			t.Errorf("syncer %d took %d bytes at its height", i, rss)
		}
	}
}

// flood commits so many changes a second to 10,000 keys, in pipelines, until stop, after which
// last holds what each key must be.
func flood(t *testing.T, h *home, perSecond int) (last map[string]string, stop func()) {
	t.Helper()
	h.set(t, "u:first", "x") // loads the script
	last = map[string]string{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; <-tick.C {
			for done := false; !done; { // until all are surely committed: a lost reply is answered by doing it again
				pipe := h.rdb.Pipeline()
				for i := range perSecond / 100 {
					key, payload := fmt.Sprint("u:", (n+i)%10_000), fmt.Sprintf("%d %0150d", n+i, 0)
					h.commit(context.Background(), pipe, key, payload)
					last[key] = payload
				}
				_, err := pipe.Exec(context.Background())
				done = err == nil
			}
			n += perSecond / 100
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return last, stop
}

func usedMemory(t *testing.T, rdb redis.UniversalClient) int64 {
	t.Helper()
	return number(t, rdb.Info(context.Background(), "memory").Val(), "used_memory:")
}

// rss is what the process took at its height.
func (p *syncerProcess) rss(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return number(t, string(text), "VmHWM:") << 10
}

// number is the one behind a name in lines of text.
func number(t *testing.T, text, name string) int64 {
	t.Helper()
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), name); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %q", name, text)
	return 0
}
