package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cachesync/memcache"
	"sluice/internal/servers"
)

// A node frozen for two seconds under load from 256 callers: everybody hears in
// time, memory stays bounded, the other node goes on, and the frozen one
// carries calls again within a second of its return.
func TestStalledNodeHoldsNobodyPastItsTime(t *testing.T) {
	frozen, healthy := servers.StartMemcached(t), servers.StartMemcached(t)
	const timeout = 200 * time.Millisecond
	c := client(t, memcache.Config{Servers: []string{frozen.Addr, healthy.Addr}, Timeout: timeout})
	var toFrozen, toHealthy string
	for i := 0; toFrozen == "" || toHealthy == ""; i++ {
		key := fmt.Sprint("k", i)
		if owner, _ := c.Owner(key); owner == frozen.Addr {
			toFrozen = key
		} else {
			toHealthy = key
		}
	}
	for _, k := range []string{toFrozen, toHealthy} {
		if err := c.Set(&memcache.Item{Key: k, Value: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	var stop atomic.Bool
	var slowest, healthyErrs, healthyOK, frozenOK atomic.Int64
	var wg sync.WaitGroup
	load := func(key string, ok, bad *atomic.Int64) {
		for range 128 {
			wg.Go(func() {
				for !stop.Load() {
					ops := [1]memcache.Op{{Kind: memcache.Get, Key: key}}
					begin := time.Now()
					if err := c.Do(context.Background(), ops[:]); err != nil {
						if bad != nil {
							bad.Add(1)
						}
						time.Sleep(time.Millisecond)
					} else {
						ok.Add(1)
					}
					for took := int64(time.Since(begin)); ; {
						if old := slowest.Load(); took <= old || slowest.CompareAndSwap(old, took) {
							break
						}
					}
				}
			})
		}
	}
	load(toFrozen, &frozenOK, nil)
	load(toHealthy, &healthyOK, &healthyErrs)
	time.Sleep(300 * time.Millisecond)
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	frozen.Pause()
	time.Sleep(2 * time.Second)
	runtime.ReadMemStats(&during)
	okBefore := frozenOK.Load()
	frozen.Resume()
	deadline := time.Now().Add(time.Second)
	for frozenOK.Load() < okBefore+1000 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if got := frozenOK.Load() - okBefore; got < 1000 {
		t.Errorf("only %d calls answered in the second after the return", got)
	}
	stop.Store(true)
	wg.Wait()
	if d := time.Duration(slowest.Load()); d > 4*timeout {
		t.Errorf("a caller waited %v with a timeout of %v", d, timeout)
	}
	if healthyErrs.Load() > 0 || healthyOK.Load() == 0 {
		t.Errorf("the healthy node failed %d calls, answered %d", healthyErrs.Load(), healthyOK.Load())
	}
	if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > 32<<20 {
		t.Errorf("heap grew by %d MB during the stall", grown>>20)
	}
	for _, s := range c.Stats() {
		if s.InFlight != 0 {
			t.Errorf("%s: %d calls still in flight", s.Addr, s.InFlight)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	m := servers.StartMemcached(t)
	c := client(t, memcache.Config{Servers: []string{m.Addr}, Timeout: 300 * time.Millisecond, MaxInFlight: 10})
	if err := c.Set(&memcache.Item{Key: "x"}); err != nil {
		t.Fatal(err)
	}
	m.Pause()
	defer m.Resume()
	var busy, late atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := c.Get("x")
			switch {
			case errors.Is(err, memcache.ErrBusy):
				busy.Add(1)
			case errors.Is(err, memcache.ErrTimeout), errors.Is(err, memcache.ErrLost):
				late.Add(1)
			default:
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if busy.Load() != 40 || late.Load() != 10 {
		t.Errorf("%d busy and %d late, want 40 and 10", busy.Load(), late.Load())
	}
}

func TestDeadNodeFailsFastAndReturns(t *testing.T) {
	m := servers.StartMemcached(t)
	var ejected, returned atomic.Int64
	c := client(t, memcache.Config{Servers: []string{m.Addr}, Events: memcache.Events{
		OnEject:  func(string, error) { ejected.Add(1) },
		OnReturn: func(string, bool) { returned.Add(1) },
	}})
	if err := c.Set(&memcache.Item{Key: "x", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	m.Kill()
	eventually(t, "node down", func() bool { _, err := c.Get("x"); return errors.Is(err, memcache.ErrNodeDown) })
	m.Start()
	eventually(t, "node back, empty", func() bool { _, err := c.Get("x"); return err == memcache.ErrCacheMiss })
	eventually(t, "events", func() bool { return ejected.Load() == 1 && returned.Load() == 1 })
}

// An applier's write is lost while its node is frozen. What the node kept is
// stale and must be gone when it can be read again.
func TestNodeThatMissedWritesReturnsEmpty(t *testing.T) {
	m := servers.StartMemcached(t)
	flushes := make(chan bool, 1)
	c := client(t, memcache.Config{
		Servers: []string{m.Addr}, Timeout: 100 * time.Millisecond, StaleAfter: 50 * time.Millisecond, Authoritative: true,
		Events: memcache.Events{OnReturn: func(_ string, flushed bool) { flushes <- flushed }},
	})
	if err := c.Set(&memcache.Item{Key: "x", Value: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	m.Pause()
	for range 20 {
		c.Set(&memcache.Item{Key: "x", Value: []byte("new")})
		time.Sleep(20 * time.Millisecond)
	}
	m.Resume()
	eventually(t, "an empty node", func() bool {
		it, err := c.Get("x")
		if err == nil && string(it.Value) == "old" {
			t.Fatal("a stale value was served")
		}
		// A write that was on its way may come late; it is not stale.
		return err == memcache.ErrCacheMiss || err == nil
	})
	if !<-flushes {
		t.Error("the event does not tell of the flush")
	}
}

func TestWatchTellsWhyANodeIsCold(t *testing.T) {
	m := servers.StartMemcached(t)
	cold := make(chan memcache.Cold, 10)
	c := client(t, memcache.Config{Servers: []string{m.Addr}, Events: memcache.Events{OnCold: func(_ string, why memcache.Cold) { cold <- why }}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Watch(ctx, 20*time.Millisecond) }()
	eventually(t, "a canary", func() bool { _, err := c.Get(memcache.CanaryKey); return err == nil })
	time.Sleep(100 * time.Millisecond)
	f := func(what func(), want memcache.Cold) {
		t.Helper()
		what()
		select {
		case got := <-cold:
			if got != want {
				t.Errorf("cold by %s, want %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s was not noticed", want)
		}
	}
	f(func() { c.FlushNode(ctx, m.Addr) }, memcache.ColdFlush)
	f(func() { c.Delete(memcache.CanaryKey) }, memcache.ColdEvicted)
	f(func() { m.Kill(); m.Start() }, memcache.ColdRestart)
	cancel()
	<-done
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
