package pipeline

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Node.
type Config struct {
	Conns       int           // zero value means 1
	Timeout     time.Duration // of a call without an earlier deadline; zero value means 500 ms
	DialTimeout time.Duration // of dialling and handshake together; zero value means Timeout
	MaxInFlight int           // zero value means 16384 calls
	MaxBytes    int           // zero value means 64 MB of requests
	Yields      int           // of the processor before each write; zero value means 1, negative none
	BackoffMin  time.Duration // before redialling; zero value means 10 ms
	BackoffMax  time.Duration // zero value means 250 ms

	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // zero value means net.Dialer
	Handshake func(ctx context.Context, nc net.Conn) error                      // before a connection carries calls; must read all it asked for
	OnDown    func(cause error)                                                 // calls fail at once from now on; must not block
	OnUp      func()                                                            // after a connection came up
	Rand      func() float64                                                    // of the jitter, [0,1); zero value means math/rand
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Timeout, 500*time.Millisecond)
	def(&c.DialTimeout, c.Timeout)
	def(&c.BackoffMin, 10*time.Millisecond)
	def(&c.BackoffMax, 250*time.Millisecond)
	if c.Conns <= 0 {
		c.Conns = 1
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 16384
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Yields == 0 {
		c.Yields = 1
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

// Node is one server with its connections.
type Node struct {
	addr    string
	network string
	cfg     Config
	conns   []*conn
	base    time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	inFlight atomic.Int64
	inBytes  atomic.Int64
	counters counters

	// Made once, so that a flood of failing calls makes no garbage.
	errBusy, errClosed, errLateSent, errLateUnsent *Error
}

// NewNode starts connecting to addr ("host:port", or a path for a unix socket).
func NewNode(addr string, cfg Config) *Node {
	n := &Node{
		addr: addr, network: "tcp", cfg: cfg.withDefaults(), base: time.Now(),
		errBusy:       &Error{Node: addr, Cause: ErrBusy},
		errClosed:     &Error{Node: addr, Cause: ErrClosed},
		errLateSent:   &Error{Node: addr, Cause: ErrTimeout, MaybeSent: true},
		errLateUnsent: &Error{Node: addr, Cause: ErrTimeout},
	}
	if addr != "" && addr[0] == '/' {
		n.network = "unix"
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for range n.cfg.Conns {
		c := newConn(n)
		n.conns = append(n.conns, c)
		n.wg.Add(2)
		go c.run()
		go c.writer()
	}
	return n
}

// Addr is the address given to NewNode.
func (n *Node) Addr() string { return n.addr }

// Up reports whether at least one connection carries calls.
func (n *Node) Up() bool {
	for _, c := range n.conns {
		c.mu.Lock()
		up := c.state == up
		c.mu.Unlock()
		if up {
			return true
		}
	}
	return false
}

func (n *Node) now() int64 { return int64(time.Since(n.base)) }

// Start queues call on connection lane (modulo their number). On an error the
// call was not sent and is still the caller's to Release.
func (n *Node) Start(ctx context.Context, call *Call, lane int) error {
	return n.start(ctx, call, lane, true)
}

// Queue is Start for one of several calls that travel together: it is written by the Flush
// that must follow, or before, with what others start.
func (n *Node) Queue(ctx context.Context, call *Call, lane int) error {
	return n.start(ctx, call, lane, false)
}

// Flush writes what was queued.
func (n *Node) Flush() {
	for _, c := range n.conns {
		c.flush()
	}
}

func (n *Node) start(ctx context.Context, call *Call, lane int, flush bool) error {
	now := n.now()
	call.node, call.err, call.sentAt = n, nil, 0
	call.started, call.deadline = now, now+int64(n.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok {
		call.deadline = min(call.deadline, int64(d.Sub(n.base)))
	}
	call.bytes = int64(len(call.Req))
	call.state.Store(queued)
	call.refs.Store(1)
	n.counters.calls.Add(1)
	if call.deadline <= now {
		n.counters.errors.Add(1)
		n.counters.timeouts.Add(1)
		return n.errLateUnsent
	}
	// One call may always pass, or a request above MaxBytes never could.
	if k := n.inFlight.Add(1); k > int64(n.cfg.MaxInFlight) || n.inBytes.Add(call.bytes) > int64(n.cfg.MaxBytes) && k > 1 {
		if k <= int64(n.cfg.MaxInFlight) {
			n.inBytes.Add(-call.bytes)
		}
		n.inFlight.Add(-1)
		n.counters.busy.Add(1)
		n.counters.errors.Add(1)
		return n.errBusy
	}
	call.refs.Store(2)
	if err := n.conns[lane%len(n.conns)].submit(call, flush); err != nil {
		n.inFlight.Add(-1)
		n.inBytes.Add(-call.bytes)
		n.counters.errors.Add(1)
		call.refs.Store(1)
		return err
	}
	return nil
}

// Do is Start and Wait. The caller still has to Release.
func (n *Node) Do(ctx context.Context, call *Call, lane int) error {
	if err := n.Start(ctx, call, lane); err != nil {
		return err
	}
	return call.Wait(ctx)
}

// Reset closes all connections, so that they pass the handshake again.
func (n *Node) Reset(cause error) {
	for _, c := range n.conns {
		c.kill(cause)
	}
}

// Close fails all calls with ErrClosed and waits for the node's goroutines.
func (n *Node) Close() {
	n.cancel()
	for _, c := range n.conns {
		c.close()
	}
	n.wg.Wait()
}
