package epoll

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// conn is an accepted connection.
type conn struct {
	socket
	ln       *Listener
	remote   *net.TCPAddr
	local    atomic.Pointer[net.TCPAddr]
	phase    atomic.Uint32
	serial   uint64
	answered atomic.Uint64 // requests
	latest   int64         // when the last of them was, on the poller's clock; the turn's own
}

// The phases of a connection in turns: see doc.go.
const (
	asking  uint32 = iota // a request is read or worked on, or the first one is waited for
	between               // of the next request nothing is here
	roused                // a later turn has begun, and nothing was read yet
	leaving               // Read has ended the turn: Close is next
)

// Serial is the connection's number among those of its listener.
func (c *conn) Serial() uint64 { return c.serial }

// Requests counts the connection's requests, with the one under way.
func (c *conn) Requests() uint64 { return c.answered.Load() + 1 }

// ConnState is for fasthttp.Server: without it no turn ends before its connection does.
func ConnState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok || c.ln.crew.serve == nil {
		return
	}
	switch state {
	case fasthttp.StateIdle:
		c.answered.Add(1)
		now := c.poller.clock.Load()
		if now-c.latest <= int64(sweepEvery) {
			c.in.patience.Store(now + int64(linger))
		} else {
			c.in.patience.Store(now)
		}
		c.latest = now
		c.phase.Store(between)
	case fasthttp.StateActive: // also when a turn begins, whatever comes of it
		c.phase.CompareAndSwap(between, asking)
	}
}

// turn serves c.
func (c *conn) turn() {
	if c.check(&c.in) != nil {
		if !c.asked() { // silent for too long
			c.close()
			return
		}
		c.in.deadline.Store(never) // it was the queue that took long
	}
	c.ln.crew.serve(c)
}

// asked says whether something can be read.
func (c *conn) asked() bool {
	if c.use() != nil {
		return false
	}
	defer c.leave()
	n, err := unix.IoctlGetInt(c.fd, unix.SIOCINQ)
	return err == nil && n > 0
}

// leaves ends the turn if no request is under way, and none is to be expected soon.
func (c *conn) leaves() bool {
	switch c.phase.Load() {
	case between:
		return c.in.patience.Load() <= c.poller.clock.Load() && c.phase.CompareAndSwap(between, leaving)
	case roused:
		return c.phase.CompareAndSwap(roused, leaving)
	}
	return false
}

// rest ends a turn: the next one begins when something comes, or the deadline.
func (c *conn) rest() error {
	if !c.in.sleep() {
		c.ln.crew.push(c)
		return nil
	}
	return c.unlessClosed()
}

// unlessClosed lets c sleep on unless the listener, which wakes its sleepers when it is closed, may have missed it.
func (c *conn) unlessClosed() error {
	if c.ln.isClosed() && c.in.rise() {
		return c.close()
	}
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if err != nil && err != io.EOF {
		err = c.fail("read", err)
	}
	return n, err
}

func (c *conn) read(b []byte) (int, error) {
	c.in.turn.Lock()
	defer c.in.turn.Unlock()
	if err := c.use(); err != nil {
		return 0, err
	}
	defer c.leave()
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if err := c.check(&c.in); err != nil {
			return 0, err
		}
		if c.in.state.Load() != ready {
			if c.leaves() {
				return 0, io.EOF
			}
			c.in.wait()
			continue
		}
		c.in.state.Store(drained) // before reading: an event that comes from here on counts
		n, err := read(c.fd, b)
		switch {
		case n > 0:
			if c.phase.Load() != asking {
				c.phase.Store(asking)
				c.in.patience.Store(never)
			}
			if n == len(b) || c.doubt.Load() {
				c.in.state.Store(ready)
			}
			return n, nil
		case err == unix.EAGAIN:
		case err == unix.EINTR:
			c.in.state.Store(ready)
		case err != nil:
			c.in.state.Store(ready)
			if c.phase.Load() == roused {
				return 0, io.EOF // who sent nothing of a request gets no answer
			}
			return 0, os.NewSyscallError("read", err)
		default:
			c.in.state.Store(ready) // the end stays the end
			return 0, io.EOF
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if err != nil {
		err = c.fail("write", err)
	}
	return n, err
}

func (c *conn) write(b []byte) (sent int, err error) {
	c.out.turn.Lock()
	defer c.out.turn.Unlock()
	if err := c.use(); err != nil {
		return 0, err
	}
	defer c.leave()
	for {
		if err := c.check(&c.out); err != nil {
			return sent, err
		}
		if sent == len(b) {
			return sent, nil
		}
		c.out.state.Store(drained)
		n, err := write(c.fd, b[sent:])
		switch {
		case n > 0:
			if sent += n; sent == len(b) {
				return sent, nil
			}
		case err == unix.EAGAIN:
			c.out.wait()
		case err == unix.EINTR:
		case err != nil:
			return sent, os.NewSyscallError("write", err)
		default:
			return sent, io.ErrUnexpectedEOF
		}
	}
}

func (c *conn) Close() error {
	if c.phase.Load() == leaving && c.phase.CompareAndSwap(leaving, roused) {
		return c.rest()
	}
	if err := c.close(); err != nil {
		return c.fail("close", err)
	}
	return nil
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr asks the system once: a request seldom wants to know.
func (c *conn) LocalAddr() net.Addr {
	if a := c.local.Load(); a != nil {
		return a
	}
	if c.use() != nil {
		return c.ln.addr
	}
	defer c.leave()
	sa, err := unix.Getsockname(c.fd)
	a := tcpAddr(sa)
	if err != nil || a == nil {
		return c.ln.addr
	}
	c.local.Store(a)
	return a
}

func (c *conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.in, &c.out) }

func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.in) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.out) }

func (c *conn) setDeadline(t time.Time, sides ...*side) error {
	if c.isClosed() {
		return c.fail("set", net.ErrClosed)
	}
	at := c.poller.at(t)
	for _, s := range sides {
		s.deadline.Store(at)
		if at <= c.poller.clock.Load() {
			s.signal()
		}
	}
	return nil
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.remote, Err: err}
}
