package memcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"sluice/cachesync/pipeline"
)

// Errors of the transport (pipeline.Error carries node and detail). They say
// nothing about the key.
var (
	ErrNodeDown = pipeline.ErrDown     // ejected: failed at once, not sent
	ErrTimeout  = pipeline.ErrTimeout  // no reply in time
	ErrLost     = pipeline.ErrLost     // connection lost while waiting
	ErrBusy     = pipeline.ErrBusy     // too many calls in flight: failed at once
	ErrCanceled = pipeline.ErrCanceled // the context ended
	ErrClosed   = pipeline.ErrClosed
)

// IsTransport reports whether err tells of the way to the node, not of the key.
func IsTransport(err error) bool {
	var e *pipeline.Error
	return errors.As(err, &e)
}

// Config of a Client. Only Servers (or Selector) is required.
type Config struct {
	Servers       []string      // "host:port" or "/path/to/socket" of every node of the region
	Selector      Selector      // zero value means a Ring over Servers; its Each must be complete when New is called
	Conns         int           // connections per node, 1 or 2; zero value means 2: one for small calls, one for bulk
	Timeout       time.Duration // per call, when the context has no earlier deadline; zero value means 500 ms
	DialTimeout   time.Duration // zero value means Timeout
	MaxInFlight   int           // calls waiting for one node before ErrBusy; zero value means 16384
	MaxBytes      int           // request bytes waiting for one node before ErrBusy; zero value means 64 MB
	MaxValueBytes int           // zero value means 1 MB less 512 bytes, what memcached takes by default
	Authoritative bool          // this client's writes carry changes that no node may miss (appliers): see "A node that comes back"
	StaleAfter    time.Duration // ejected for longer with lost writes means flush_all on return; zero value means 10 s
	Yields        int           // see pipeline.Config
	Dial          func(ctx context.Context, network, addr string) (net.Conn, error)
	Clock         func() time.Time // zero value means time.Now
	Rand          func() float64   // of backoff jitter; zero value means math/rand
	Events        Events
}

// bulkBytes and bulkOps make a call bulk: it travels on the second connection,
// where it cannot hold up the small ones.
const (
	bulkBytes = 16 << 10
	bulkOps   = 128
)

// Client talks to the memcached nodes of one region.
type Client struct {
	cfg      Config
	selector Selector
	nodes    []*node
	byAddr   map[string]*node
	calls    sync.Pool
	batches  sync.Pool
	events   *eventQueue
}

// New starts a client; connections are opened in the background.
func New(cfg Config) (*Client, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 500 * time.Millisecond
	}
	if cfg.Conns == 0 {
		cfg.Conns = 2
	}
	if cfg.Conns < 1 || cfg.Conns > 2 {
		return nil, fmt.Errorf("memcache: Conns is %d; a node takes 1 or 2 connections", cfg.Conns)
	}
	if cfg.MaxValueBytes <= 0 {
		cfg.MaxValueBytes = 1<<20 - 512
	}
	if cfg.StaleAfter <= 0 {
		cfg.StaleAfter = 10 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	c := &Client{cfg: cfg, selector: cfg.Selector, byAddr: map[string]*node{}}
	if c.selector == nil {
		ring, err := NewRing(cfg.Servers...)
		if err != nil {
			return nil, err
		}
		c.selector = ring
	}
	var addrs []string
	if err := c.selector.Each(func(a net.Addr) error { addrs = append(addrs, a.String()); return nil }); err != nil {
		return nil, fmt.Errorf("memcache: list servers: %w", err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: give at least one server", ErrNoServers)
	}
	c.calls.New = func() any {
		k := &call{client: c}
		k.Init(k)
		return k
	}
	c.batches.New = func() any { return &batch{} }
	c.events = newEventQueue()
	for _, a := range addrs {
		if c.byAddr[a] == nil {
			n := newNode(c, a)
			c.nodes = append(c.nodes, n)
			c.byAddr[a] = n
		}
	}
	return c, nil
}

// Nodes lists the addresses of all nodes.
func (c *Client) Nodes() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// Owner is the address of the node that holds key.
func (c *Client) Owner(key string) (string, error) {
	n, err := c.owner(key)
	if err != nil {
		return "", err
	}
	return n.addr, nil
}

func (c *Client) owner(key string) (*node, error) {
	if len(c.nodes) == 1 {
		return c.nodes[0], nil
	}
	a, err := c.selector.PickServer(key)
	if err != nil {
		return nil, err
	}
	n := c.byAddr[a.String()]
	if n == nil {
		return nil, fmt.Errorf("%w: selector names %s, which it did not list when the client started", ErrNoServers, a)
	}
	return n, nil
}

// Stats of every node, in the order of Nodes.
func (c *Client) Stats() []pipeline.Stats {
	var all []pipeline.Stats
	for _, n := range c.nodes {
		all = append(all, n.pipe.Stats())
	}
	return all
}

// Close fails the calls in flight and ends all goroutines.
func (c *Client) Close() error {
	for _, n := range c.nodes {
		n.pipe.Close()
	}
	c.events.close()
	return nil
}
