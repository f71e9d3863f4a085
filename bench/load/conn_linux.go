package load

import (
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/bench/load/record"
	"sluice/bench/load/wire"
)

type connState uint8

const (
	closed connState = iota
	connecting
	idle
	busy
)

// conn is one connection, or the place of one.
type conn struct {
	index      int32
	generation int32 // of the place: events of a closed predecessor are ignored
	fd         int
	state      connState
	target     int
	user       *user // whose request is on it, or waits for it to connect
	out        []byte
	written    int
	parser     wire.Parser
	sent       int64
}

// open connects a place; u's request goes out when it is up (u may be nil).
func (l *loop) open(c *conn, u *user) {
	c.generation++
	c.user = u
	fd, err := l.poll.open(l.targets[c.target].addr, c.index, c.generation)
	l.rec.Connect()
	if err != nil {
		c.state, c.fd, c.user = closed, -1, nil
		l.free = append(l.free, c)
		if u != nil {
			l.refused.push(u) // ended by the next sweep: no recursion, and no hot loop when ports run out
		}
		return
	}
	c.fd, c.state = fd, connecting
	l.live++
	if u != nil {
		c.sent = l.now() // a new connection's handshake is part of its service time
	}
}

func (l *loop) close(c *conn) {
	if c.state == closed {
		return
	}
	_ = unix.Close(c.fd)
	c.state, c.fd, c.written = closed, -1, 0
	c.out = c.out[:0]
	c.parser.Reset()
	l.live--
	l.free = append(l.free, c)
}

// fail closes a connection and ends the request on it.
func (l *loop) fail(c *conn, kind int) {
	u, sent := c.user, c.sent
	c.user = nil
	l.close(c)
	if u != nil {
		l.advance(u, l.finish(u, nil, sent, kind))
	}
	l.refill()
}

// ready handles an event of a connection.
func (l *loop) ready(c *conn, events uint32) {
	if c.state == connecting {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			l.fail(c, record.ErrConnect)
			return
		}
		if events&unix.EPOLLOUT == 0 {
			return
		}
		l.connected(c)
		if events&unix.EPOLLIN == 0 {
			return
		}
	}
	if c.written < len(c.out) && events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if c.state != closed && events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.receive(c)
	}
}

func (l *loop) connected(c *conn) {
	u := c.user
	if u == nil && l.waiting.n > 0 {
		u = l.waiting.pop()
	}
	if u == nil {
		c.state = idle
		l.idle.push(c)
		return
	}
	sent := c.sent
	if c.user == nil || !l.cfg.NewConnections {
		sent = l.now()
	}
	l.transmit(c, u, sent)
}

// transmit writes u's request.
func (l *loop) transmit(c *conn, u *user, now int64) {
	c.state, c.user, c.sent, c.written = busy, u, now, 0
	c.out = l.compose(c.out[:0], u, &l.targets[c.target])
	c.parser.Head = u.request.Method == "HEAD"
	l.flush(c)
}

func (l *loop) flush(c *conn) {
	for c.written < len(c.out) {
		n, e := write(c.fd, c.out[c.written:])
		switch e {
		case 0:
			c.written += n
		case syscall.EAGAIN:
			return // the next EPOLLOUT edge goes on
		case syscall.EINTR:
		default:
			l.fail(c, record.ErrBroken)
			return
		}
	}
}

func (l *loop) receive(c *conn) {
	for {
		n, e := read(c.fd, l.buf)
		switch {
		case e == syscall.EAGAIN:
			return
		case e == syscall.EINTR:
			continue
		case e != 0:
			l.fail(c, record.ErrBroken)
			return
		case n == 0:
			l.ended(c)
			return
		}
		if c.state != busy || c.parser.Feed(l.buf[:n]) != nil {
			l.fail(c, record.ErrBroken)
			return
		}
		if c.parser.Done() {
			l.answered(c)
			return // nothing can be left: bytes after the end are an error
		}
		if n < len(l.buf) {
			return // drained; more is a new edge
		}
	}
}

// ended handles the server's close.
func (l *loop) ended(c *conn) {
	if c.state == busy && c.parser.End() == nil && c.parser.Done() {
		l.answered(c)
		return
	}
	l.fail(c, record.ErrBroken)
}

// answered takes the answer, gives the connection to whoever waits, and lets the user go on: in this
// order, so that the user's own next request can find the connection free.
func (l *loop) answered(c *conn) {
	u := c.user
	c.user = nil
	now := l.finish(u, &c.parser, c.sent, record.ErrNone)
	if c.parser.Close || l.cfg.NewConnections {
		l.close(c)
		l.refill()
	} else {
		c.parser.Reset()
		if w := l.waiting.pop(); w != nil {
			l.transmit(c, w, now)
		} else {
			c.state = idle
			l.idle.push(c)
		}
	}
	l.advance(u, now)
}
