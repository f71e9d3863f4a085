package memcache

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"sluice/cachesync/pipeline"
)

// node is one memcached and what this client knows about its past.
type node struct {
	c    *Client
	addr string
	pipe *pipeline.Node
	made chan struct{} // closed when pipe is set: its goroutines run before

	shake sync.Mutex // one handshake at a time: the first flushes for both connections

	mu        sync.Mutex
	ejected   bool
	ejectedAt time.Time
	lost      bool // a write failed since the node was last known good
	flushed   bool // since ejectedAt
	owed      bool // MustEmpty, and it has not been emptied since
}

func newNode(c *Client, addr string) *node {
	n := &node{c: c, addr: addr, made: make(chan struct{})}
	defer close(n.made)
	n.pipe = pipeline.NewNode(addr, pipeline.Config{
		Conns: c.cfg.Conns, Timeout: c.cfg.Timeout, DialTimeout: c.cfg.DialTimeout,
		MaxInFlight: c.cfg.MaxInFlight, MaxBytes: c.cfg.MaxBytes, Yields: c.cfg.Yields,
		Dial: c.cfg.Dial, Handshake: n.handshake, OnDown: n.onDown, OnUp: n.onUp, Rand: c.cfg.Rand,
	})
	return n
}

// missed notes a write that did not reach the node.
func (n *node) missed() {
	if !n.c.cfg.Authoritative {
		return
	}
	n.mu.Lock()
	n.lost = true
	n.mu.Unlock()
}

func (n *node) onDown(cause error) {
	n.mu.Lock()
	first := !n.ejected
	if first {
		n.ejected, n.flushed, n.ejectedAt = true, false, n.c.cfg.Clock()
	}
	n.mu.Unlock()
	if first {
		// The other connection must pass the handshake too before it is used again.
		<-n.made
		n.pipe.Reset(fmt.Errorf("ejected: %w", cause))
		if f := n.c.cfg.Events.OnEject; f != nil {
			n.c.events.put(func() { f(n.addr, cause) })
		}
	}
}

func (n *node) onUp() {
	n.mu.Lock()
	back, flushed := n.ejected, n.flushed
	if back {
		n.ejected, n.lost = false, false // what a short loss missed, appliers write again
	}
	n.mu.Unlock()
	if f := n.c.cfg.Events.OnReturn; back && f != nil {
		n.c.events.put(func() { f(n.addr, flushed) })
	}
}

// stale reports whether the node must be emptied before it is used.
func (n *node) stale() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.owed || n.lost && n.ejected && n.c.cfg.Clock().Sub(n.ejectedAt) > n.c.cfg.StaleAfter
}

// handshake proves that the node answers, and empties it when it missed writes.
func (n *node) handshake(ctx context.Context, nc net.Conn) error {
	n.shake.Lock()
	defer n.shake.Unlock()
	r := pipeline.NewReader(nc)
	if err := ask(nc, r, "version\r\n", "VERSION "); err != nil {
		return err
	}
	if !n.stale() {
		return nil
	}
	id := n.c.newCanary()
	if err := ask(nc, r, "flush_all\r\n", "OK"); err != nil {
		return err
	}
	// Writes of the lost connections may still lie in the node's sockets. It
	// reads them as soon as it runs: give it a moment, then empty it again.
	late := time.NewTimer(min(100*time.Millisecond, n.c.cfg.Timeout/4))
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ask(nc, r, "flush_all\r\n", "OK"); err != nil {
		return err
	}
	if err := ask(nc, r, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", CanaryKey, len(id), id), "STORED"); err != nil {
		return err
	}
	n.mu.Lock()
	n.lost, n.owed, n.flushed = false, false, true
	n.mu.Unlock()
	return nil
}

// ask sends one command and wants one line that starts with want.
func ask(nc net.Conn, r *pipeline.Reader, command, want string) error {
	if _, err := nc.Write([]byte(command)); err != nil {
		return err
	}
	line, err := r.Line()
	if err != nil {
		return err
	}
	if len(line) < len(want) || string(line[:len(want)]) != want {
		return fmt.Errorf("%.60q instead of %q: is this a memcached?", line, want)
	}
	return nil
}
