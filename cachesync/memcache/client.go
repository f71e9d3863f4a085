package memcache

import (
	"context"
	"errors"
	"net"
	"time"
)

// Errors of the transport. They say nothing about the key.
var (
	ErrNodeDown = errors.New("memcache: node is down")
	ErrTimeout  = errors.New("memcache: no reply in time")
	ErrBusy     = errors.New("memcache: too many calls in flight")
	ErrClosed   = errors.New("memcache: client is closed")
)

// Config of a Client. Only Servers (or Selector) is required.
type Config struct {
	Servers       []string      // "host:port" or "/path/to/socket" of every node of the region
	Selector      Selector      // zero value means a Ring over Servers
	Conns         int           // connections per node, 1 or 2; zero value means 2: one for small calls, one for bulk
	Timeout       time.Duration // per call, when the context has no earlier deadline; zero value means 500 ms
	DialTimeout   time.Duration // zero value means Timeout
	MaxInFlight   int           // calls waiting for one node before ErrBusy; zero value means 16384
	MaxBytes      int           // request bytes waiting for one node before ErrBusy; zero value means 64 MB
	MaxValueBytes int           // zero value means 1 MB
	Authoritative bool          // a write this client could not deliver makes the node stale: flush it before it is used again (appliers)
	Dial          func(ctx context.Context, network, addr string) (net.Conn, error)
	Clock         func() time.Time
	Events        Events
}

// Events tell warm-up and metrics what happens to nodes. Each may be nil; they
// are called one after another from one goroutine and must not block.
type Events struct {
	OnEject  func(node string, cause error) // calls to it fail at once from now on
	OnReturn func(node string, flushed bool)
	OnCold   func(node string, why Cold)
}

// Cold is why a node was found to have lost data.
type Cold string

// Reasons of OnCold.
const (
	ColdRestart Cold = "restart"
	ColdFlush   Cold = "flush_all"
	ColdEvicted Cold = "evicted"
)

// Client talks to the memcached nodes of one region.
type Client struct{ cfg Config }

// New starts a client; connections are opened in the background.
func New(cfg Config) (*Client, error) { return &Client{cfg: cfg}, nil }

// Do runs a batch; results are in place.
func (c *Client) Do(ctx context.Context, ops []Op) error { return ErrClosed }

// DoNode runs a batch on one node, whatever the keys' owner: for canaries and stats.
func (c *Client) DoNode(ctx context.Context, node string, ops []Op) error { return ErrClosed }

// Nodes lists the addresses of all nodes.
func (c *Client) Nodes() []string { return nil }

// Owner is the address of the node that holds key.
func (c *Client) Owner(key string) (string, error) { return "", ErrClosed }

// Close fails the calls in flight and ends all goroutines.
func (c *Client) Close() error { return nil }
