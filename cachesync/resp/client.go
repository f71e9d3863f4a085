package resp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/pipeline"
)

// Errors of the transport, for errors.Is. ErrUnknown and ErrNotSent tell what
// became of the command, the others why.
var (
	ErrUnknown  = pipeline.ErrUnknown
	ErrNotSent  = pipeline.ErrUnsent
	ErrNodeDown = pipeline.ErrDown
	ErrTimeout  = pipeline.ErrTimeout
	ErrLost     = pipeline.ErrLost
	ErrBusy     = pipeline.ErrBusy
	ErrCanceled = pipeline.ErrCanceled
	ErrClosed   = pipeline.ErrClosed
)

// Config of a Client. Only Addrs is required.
type Config struct {
	Addrs              []string // the node, or some nodes of the cluster
	Username, Password string
	DB                 int
	Cluster            bool
	ConnsPerNode       int           // zero value means 1
	Timeout            time.Duration // per command, when the context has no earlier deadline; zero value means 500 ms
	DialTimeout        time.Duration // zero value means Timeout
	MaxInFlight        int           // commands waiting for one node before ErrBusy; zero value means 16384
	MaxBytes           int           // request bytes waiting for one node before ErrBusy; zero value means 64 MB
	Yields             int           // see pipeline.Config
	Dial               func(ctx context.Context, network, addr string) (net.Conn, error)
	Rand               func() float64 // of backoff jitter
}

// Client is a pipelined Redis client.
type Client struct {
	cfg    Config
	single *pipeline.Node
	calls  sync.Pool

	mu         sync.Mutex // guards nodes and the making of a new map
	nodes      map[string]*pipeline.Node
	closed     bool
	slots      atomic.Pointer[slotMap]
	refreshing atomic.Bool
	wg         sync.WaitGroup
}

// New makes a client; connections are opened in the background.
func New(cfg Config) (*Client, error) {
	switch {
	case len(cfg.Addrs) == 0:
		return nil, fmt.Errorf("resp: no address: give at least one in Addrs")
	case !cfg.Cluster && len(cfg.Addrs) > 1:
		return nil, fmt.Errorf("resp: %d addresses for a single node: give one, or set Cluster", len(cfg.Addrs))
	case cfg.Cluster && cfg.DB != 0:
		return nil, fmt.Errorf("resp: DB is %d: a cluster has database 0 only", cfg.DB)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 500 * time.Millisecond
	}
	c := &Client{cfg: cfg, nodes: map[string]*pipeline.Node{}}
	c.calls.New = func() any {
		k := &call{client: c}
		k.Init(k)
		return k
	}
	if !cfg.Cluster {
		c.single = c.node(cfg.Addrs[0])
	}
	return c, nil
}

// node returns the node of addr, connecting to it if it is new; nil after Close.
func (c *Client) node(addr string) *pipeline.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	n := c.nodes[addr]
	if n == nil {
		n = pipeline.NewNode(addr, pipeline.Config{
			Conns: c.cfg.ConnsPerNode, Timeout: c.cfg.Timeout, DialTimeout: c.cfg.DialTimeout,
			MaxInFlight: c.cfg.MaxInFlight, MaxBytes: c.cfg.MaxBytes, Yields: c.cfg.Yields,
			Dial: c.cfg.Dial, Handshake: c.handshake, Rand: c.cfg.Rand,
		})
		c.nodes[addr] = n
	}
	return n
}

func (c *Client) handshake(_ context.Context, nc net.Conn) error {
	r := pipeline.NewReader(nc)
	var cmd Cmd
	if c.cfg.Password != "" {
		cmd.Reset("AUTH")
		if c.cfg.Username != "" {
			cmd.Arg(c.cfg.Username)
		}
		if err := ask(nc, r, cmd.Arg(c.cfg.Password), "AUTH"); err != nil {
			return err
		}
	}
	if c.cfg.DB != 0 {
		if err := ask(nc, r, cmd.Reset("SELECT").Int(int64(c.cfg.DB)), "SELECT"); err != nil {
			return err
		}
	}
	return ask(nc, r, cmd.Reset("PING"), "PING") // also refused while Redis loads its data
}

func ask(nc net.Conn, r *pipeline.Reader, cmd *Cmd, name string) error {
	if _, err := nc.Write(cmd.encode(nil)); err != nil {
		return err
	}
	var s store
	var v Value
	if err := s.read(r, &v, 0); err != nil {
		return err
	}
	if v.Kind == KindError {
		return fmt.Errorf("%s: %w", name, ReplyError(v.Bytes))
	}
	return nil
}

// call is one command on its way; the reply is read into memory of its own,
// since the caller may have gone, and swapped with the Cmd's at the end.
type call struct {
	pipeline.Call
	client *Client
	asking bool // an ASKING before the command: one more reply
	reply  Value
	values store
}

func (k *call) ReadReply(r *pipeline.Reader) error {
	k.values.reset()
	if k.asking {
		if err := k.values.read(r, &k.reply, 0); err != nil {
			return err
		}
	}
	k.reply = Value{}
	return k.values.read(r, &k.reply, 0)
}

func (k *call) Recycle() {
	if cap(k.Req) > 64<<10 {
		k.Req = nil
	}
	k.Req, k.asking, k.reply = k.Req[:0], false, Value{}
	k.client.calls.Put(k)
}

// asking is sent before a command that ASK redirected.
const asking = "*1\r\n$6\r\nASKING\r\n"

func (c *Client) start(ctx context.Context, n *pipeline.Node, cmd *Cmd, ask, flush bool) (*call, error) {
	k := c.calls.Get().(*call)
	if ask {
		k.asking = true
		k.Req = append(k.Req, asking...)
	}
	k.Req = cmd.encode(k.Req)
	send := n.Queue
	if flush {
		send = n.Start
	}
	if err := send(ctx, &k.Call, 0); err != nil {
		k.Release()
		return nil, err
	}
	return k, nil
}

func (c *Client) finish(ctx context.Context, k *call, cmd *Cmd) error {
	defer k.Release()
	if err := k.Wait(ctx); err != nil {
		return err
	}
	cmd.Reply, cmd.values, k.values = k.reply, k.values, cmd.values
	if cmd.Reply.Kind == KindError {
		return ReplyError(cmd.Reply.Bytes)
	}
	return nil
}

// maxRedirects is how many MOVED or ASK a command follows.
const maxRedirects = 5

// Do sends cmd and waits for its reply. See the package comment for errors.
func (c *Client) Do(ctx context.Context, cmd *Cmd) error {
	n, err := c.route(ctx, cmd)
	if err != nil {
		return err
	}
	k, err := c.start(ctx, n, cmd, false, true)
	if err != nil {
		return err
	}
	err = c.finish(ctx, k, cmd)
	if err != nil && c.cfg.Cluster {
		return c.follow(ctx, cmd, err)
	}
	return err
}

// DoAll sends all cmds before it waits for the first reply; each outcome stands
// in its Err. Commands for one node run in the order given, others may run in
// between. The result is the first error.
func (c *Client) DoAll(ctx context.Context, cmds []*Cmd) error {
	for _, cmd := range cmds {
		c.Queue(ctx, cmd)
	}
	c.Flush()
	var first error
	for _, cmd := range cmds {
		if err := c.Finish(ctx, cmd); first == nil {
			first = err
		}
	}
	return first
}

// Queue prepares cmd to be sent by the Flush that must follow; Finish must follow too,
// and cmd is left alone until then. It never waits, but for a cluster that is not known yet.
func (c *Client) Queue(ctx context.Context, cmd *Cmd) {
	var n *pipeline.Node
	cmd.call = nil
	if n, cmd.Err = c.route(ctx, cmd); cmd.Err == nil {
		cmd.call, cmd.Err = c.start(ctx, n, cmd, false, false)
	}
}

// Flush sends what was queued.
func (c *Client) Flush() {
	if c.single != nil {
		c.single.Flush()
		return
	}
	c.mu.Lock()
	nodes := make([]*pipeline.Node, 0, len(c.nodes))
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	c.mu.Unlock()
	for _, n := range nodes {
		n.Flush()
	}
}

// Finish waits for the reply of a queued command, and returns what Do would. Commands may
// be finished by another goroutine than the one that queued them.
func (c *Client) Finish(ctx context.Context, cmd *Cmd) error {
	if cmd.call != nil {
		cmd.Err = c.finish(ctx, cmd.call, cmd)
		cmd.call = nil
		if cmd.Err != nil && c.cfg.Cluster {
			cmd.Err = c.follow(ctx, cmd, cmd.Err)
		}
	}
	return cmd.Err
}

// follow goes where MOVED or ASK point: the command did not run yet.
func (c *Client) follow(ctx context.Context, cmd *Cmd, err error) error {
	for range maxRedirects {
		re, ok := err.(ReplyError)
		if !ok || re.Code() != "MOVED" && re.Code() != "ASK" {
			return err
		}
		f := strings.Fields(string(re)) // MOVED 3999 127.0.0.1:6381
		if len(f) != 3 {
			return err
		}
		if f[0] == "MOVED" {
			c.refresh()
		}
		n := c.node(f[2])
		if n == nil {
			return ErrClosed
		}
		k, serr := c.start(ctx, n, cmd, f[0] == "ASK", true)
		if serr != nil {
			return serr
		}
		err = c.finish(ctx, k, cmd)
	}
	return err
}

// Up reports whether commands can be sent at this moment.
func (c *Client) Up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.Up() {
			return true
		}
	}
	return false
}

// Stats of every node connected to.
func (c *Client) Stats() []pipeline.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []pipeline.Stats
	for _, n := range c.nodes {
		all = append(all, n.Stats())
	}
	return all
}

// Close fails the commands in flight and ends all connections.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	nodes := c.nodes
	c.mu.Unlock()
	for _, n := range nodes {
		n.Close()
	}
	c.wg.Wait()
	return nil
}
