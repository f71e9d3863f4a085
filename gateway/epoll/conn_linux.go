package epoll

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// conn is an accepted connection.
type conn struct {
	socket
	remote   *net.TCPAddr
	listened net.Addr // the listener's
	local    atomic.Pointer[net.TCPAddr]
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
			c.in.wait()
			continue
		}
		c.in.state.Store(drained) // before reading: an event that comes from here on counts
		n, err := read(c.fd, b)
		switch {
		case n > 0:
			if n == len(b) || c.doubt.Load() {
				c.in.state.Store(ready)
			}
			return n, nil
		case err == unix.EAGAIN:
		case err == unix.EINTR:
			c.in.state.Store(ready)
		case err != nil:
			c.in.state.Store(ready)
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
		return c.listened
	}
	defer c.leave()
	sa, err := unix.Getsockname(c.fd)
	a := tcpAddr(sa)
	if err != nil || a == nil {
		return c.listened
	}
	c.local.Store(a)
	return a
}

func (c *conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.in, &c.out) }

func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.in) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.out) }

func (c *conn) setDeadline(t time.Time, sides ...*side) error {
	if c.uses.Load()&closed != 0 {
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
