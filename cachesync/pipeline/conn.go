package pipeline

import (
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type connState uint8

const (
	connecting connState = iota // calls queue: dialling for the first time or again after a loss
	up                          // calls are sent
	broken                      // failed, the reader has not cleaned up yet; calls queue
	down                        // dialling failed: calls fail at once until the handshake passes
	closed
)

const (
	batchBytes = 64 << 10
	// A caller writes at most this many batches for others before the background
	// writer takes over, so that its own answer is not kept waiting.
	leadRounds = 2
)

// conn is one connection and its successors after redialling.
//
// Lock order: mu is a leaf; nothing is called under it but atomics and channel
// sends that cannot block.
type conn struct {
	n *Node

	mu       sync.Mutex
	state    connState
	nc       net.Conn
	raw      syscall.RawConn
	queue    []*Call
	flight   fifo
	writing  bool // somebody leads: only it touches wbuf, rest and the socket
	watching bool
	progress int64 // when the last byte came
	downErr  *Error
	killErr  error // why kill closed nc

	wbuf  []byte
	rest  []byte   // of wbuf, not written yet
	restC net.Conn // the connection it belongs to, and no other

	once   func(uintptr) bool
	tryN   int
	tryErr error

	wake  chan struct{} // to the background writer; it then leads
	watch *time.Timer
}

func newConn(n *Node) *conn {
	c := &conn{n: n, wake: make(chan struct{}, 1)}
	c.once = c.writeOnce
	c.watch = time.AfterFunc(time.Hour, c.check)
	c.watch.Stop()
	return c
}

// submit queues call, and leads if nobody does, unless the caller flushes later.
func (c *conn) submit(call *Call, flush bool) error {
	c.mu.Lock()
	switch c.state {
	case down:
		err := c.downErr
		c.mu.Unlock()
		return err
	case closed:
		c.mu.Unlock()
		return c.n.errClosed
	}
	c.queue = append(c.queue, call)
	if !c.watching {
		c.watching = true
		c.watch.Reset(c.tick())
	}
	c.leadAndUnlock(flush)
	return nil
}

// flush writes what is queued, if nobody does.
func (c *conn) flush() {
	c.mu.Lock()
	c.leadAndUnlock(len(c.queue) > 0)
}

// leadAndUnlock makes the caller, who holds mu, the writer if there is none.
func (c *conn) leadAndUnlock(wanted bool) {
	lead := wanted && c.state == up && !c.writing
	if lead {
		c.writing = true
	}
	c.mu.Unlock()
	if lead {
		c.lead(leadRounds)
	}
}

// lead writes batches until nothing is queued; after rounds batches the
// background writer goes on (rounds < 0: never).
func (c *conn) lead(rounds int) {
	for ; ; rounds-- {
		if rounds == 0 {
			c.wake <- struct{}{}
			return
		}
		for range c.n.cfg.Yields {
			runtime.Gosched()
		}
		nc, raw := c.take()
		if nc == nil {
			return
		}
		c.n.counters.writes.Add(1)
		n, err := c.tryWrite(raw)
		if err != nil {
			c.failWrite(nc, err)
			continue
		}
		c.n.counters.out.Add(uint64(n))
		if n == len(c.wbuf) {
			continue
		}
		c.rest, c.restC = c.wbuf[n:], nc
		if rounds > 0 {
			c.wake <- struct{}{}
			return
		}
		c.writeRest()
	}
}

// take moves queued calls into wbuf and in flight. It ends the lead and returns
// nil when there is nothing to write.
func (c *conn) take() (net.Conn, syscall.RawConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wbuf = c.wbuf[:0]
	if cap(c.wbuf) > 8*batchBytes {
		c.wbuf = nil
	}
	if c.state == up {
		now, i := c.n.now(), 0
		for ; i < len(c.queue) && len(c.wbuf) < batchBytes; i++ {
			call := c.queue[i]
			call.sentAt = now
			if !call.state.CompareAndSwap(queued, sent) {
				call.finish(nil) // given up: never sent
				continue
			}
			c.wbuf = append(c.wbuf, call.Req...)
			c.flight.push(call)
		}
		if i > 0 {
			k := copy(c.queue, c.queue[i:])
			clear(c.queue[k:])
			c.queue = c.queue[:k]
		}
	}
	if len(c.wbuf) == 0 {
		c.writing = false
		return nil, nil
	}
	return c.nc, c.raw
}

// writer goes on where a caller stopped: it may wait for the socket.
func (c *conn) writer() {
	defer c.n.wg.Done()
	for {
		select {
		case <-c.n.ctx.Done():
			return
		case <-c.wake:
		}
		if len(c.rest) > 0 {
			c.writeRest()
		}
		c.lead(-1)
	}
}

func (c *conn) writeRest() {
	rest, nc := c.rest, c.restC
	c.rest, c.restC = nil, nil
	n, err := nc.Write(rest)
	c.n.counters.out.Add(uint64(n))
	if err != nil {
		c.failWrite(nc, err)
	}
}

func (c *conn) failWrite(nc net.Conn, err error) {
	c.mu.Lock()
	if c.nc == nc && c.state == up {
		c.state, c.killErr = broken, err
	}
	c.mu.Unlock()
	nc.Close()
}

// tryWrite writes what the socket takes of wbuf without waiting. Without a raw
// connection nothing is written here and the background writer waits instead.
func (c *conn) tryWrite(raw syscall.RawConn) (int, error) {
	if raw == nil {
		return 0, nil
	}
	if err := raw.Write(c.once); err != nil {
		return 0, err
	}
	if c.tryErr == syscall.EAGAIN {
		return 0, nil
	}
	return max(c.tryN, 0), c.tryErr
}

// writeOnce is given to raw.Write; a closure would be garbage for every batch.
func (c *conn) writeOnce(fd uintptr) bool {
	for {
		if c.tryN, c.tryErr = syscall.Write(int(fd), c.wbuf); c.tryErr != syscall.EINTR {
			return true
		}
	}
}

func (c *conn) tick() time.Duration {
	return min(max(c.n.cfg.Timeout/10, 2*time.Millisecond), 25*time.Millisecond)
}
