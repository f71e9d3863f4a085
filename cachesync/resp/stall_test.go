package resp_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cachesync/resp"
	"sluice/internal/servers"
)

// A Redis frozen for two seconds under load from 256 callers: everybody hears in time that it is
// not known what became of the command, or that it was not sent; memory stays bounded, and within
// a second of its return commands are answered again.
func TestStalledRedisHoldsNobodyPastItsTime(t *testing.T) {
	server := servers.Redis(t)
	const timeout = 200 * time.Millisecond
	c := client(t, resp.Config{Addrs: []string{server.Addr}, Timeout: timeout})
	var stop atomic.Bool
	var slowest, good, odd atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			var cmd resp.Cmd
			for !stop.Load() {
				begin := time.Now()
				err := c.Do(context.Background(), cmd.Reset("INCR").Key("n"))
				took := int64(time.Since(begin))
				switch {
				case err == nil:
					good.Add(1)
				case errors.Is(err, resp.ErrUnknown) || errors.Is(err, resp.ErrNotSent):
					time.Sleep(time.Millisecond)
				default:
					odd.Add(1)
				}
				for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	server.Pause()
	time.Sleep(2 * time.Second)
	runtime.ReadMemStats(&during)
	answered := good.Load()
	server.Resume()
	for end := time.Now().Add(time.Second); good.Load() < answered+1000 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if got := good.Load() - answered; got < 1000 {
		t.Errorf("only %d commands answered in the second after the return", got)
	}
	stop.Store(true)
	wg.Wait()
	if d := time.Duration(slowest.Load()); d > 4*timeout {
		t.Errorf("a caller waited %v with a timeout of %v", d, timeout)
	}
	if odd.Load() > 0 {
		t.Errorf("%d errors do not tell whether the command may have run", odd.Load())
	}
	if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > 32<<20 {
		t.Errorf("heap grew by %d MB during the stall", grown>>20)
	}
	for _, s := range c.Stats() {
		if s.InFlight != 0 {
			t.Errorf("%s: %d commands still in flight", s.Addr, s.InFlight)
		}
	}
}
