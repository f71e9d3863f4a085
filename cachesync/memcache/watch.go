package memcache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"
)

// CanaryKey is the key that tells whether a node still has its data.
const CanaryKey = "sluice:canary"

// Watch looks at the canary of every node each interval (zero means 500 ms)
// until ctx ends, and reports nodes that lost their data through
// Events.OnCold. Several processes may watch the same nodes: whoever finds the
// canary missing adds one, and all the others see that it is another.
func (c *Client) Watch(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		interval = 500 * time.Millisecond
	}
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() {
			w := watcher{n: n}
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				w.look(ctx)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (c *Client) newCanary() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// watcher is what one Watch knows of one node.
type watcher struct {
	n      *node
	known  string // canary seen last; "" before the first
	health Health
}

func (w *watcher) look(ctx context.Context) {
	c := w.n.c
	ops := [1]Op{{Kind: Get, Key: CanaryKey}}
	c.do(ctx, w.n, ops[:])
	id := string(ops[0].Value)
	if errors.Is(ops[0].Err, ErrCacheMiss) {
		id = c.newCanary()
		ops[0] = Op{Kind: Add, Key: CanaryKey, Value: []byte(id)}
		c.do(ctx, w.n, ops[:])
		if errors.Is(ops[0].Err, ErrNotStored) {
			return // somebody else was first: seen at the next look
		}
	}
	if ops[0].Err != nil || id == w.known {
		return
	}
	health, err := c.NodeHealth(ctx, w.n.addr)
	if err != nil {
		return
	}
	if w.known != "" {
		why := ColdEvicted
		switch {
		case health.PID != w.health.PID || health.Uptime < w.health.Uptime:
			why = ColdRestart
		case health.Flushes > w.health.Flushes:
			why = ColdFlush
		}
		if f := c.cfg.Events.OnCold; f != nil {
			c.events.put(func() { f(w.n.addr, why) })
		}
	}
	w.known, w.health = id, health
}
