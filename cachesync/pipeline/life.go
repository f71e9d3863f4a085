package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// errStuck closes a connection on which no reply came in time.
var errStuck = errors.New("stuck: no reply in time")

// steady is how long a connection must have lived for its loss to be redialled
// at once.
const steady = time.Second

// run dials, reads replies until the connection fails, and dials again.
func (c *conn) run() {
	defer c.n.wg.Done()
	failures := 0
	for c.n.ctx.Err() == nil {
		nc, err := c.connect()
		if err != nil {
			c.n.counters.connectErrors.Add(1)
			c.goDown(err)
			failures++
			c.pause(failures)
			continue
		}
		c.n.counters.connects.Add(1)
		born := c.n.now()
		c.goUp(nc)
		err = c.readLoop(nc)
		nc.Close()
		stuck := c.tearDown(err)
		if stuck || c.n.now()-born < int64(steady) {
			failures++
			c.pause(failures)
		} else {
			failures = 0
		}
	}
}

func (c *conn) connect() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.n.ctx, c.n.cfg.DialTimeout)
	defer cancel()
	nc, err := c.n.cfg.Dial(ctx, c.n.network, c.n.addr)
	if err != nil {
		return nil, err
	}
	if c.n.cfg.Handshake == nil {
		return nc, nil
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = c.n.cfg.Handshake(ctx, nc)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return nc, nil
}

// pause sleeps the backoff, full jitter over its upper half.
func (c *conn) pause(failures int) {
	d := c.n.cfg.BackoffMin << min(failures-1, 16)
	if d > c.n.cfg.BackoffMax || d <= 0 {
		d = c.n.cfg.BackoffMax
	}
	d = d/2 + time.Duration(c.n.cfg.Rand()*float64(d/2))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.n.ctx.Done():
	case <-t.C:
	}
}

func (c *conn) goUp(nc net.Conn) {
	var raw syscall.RawConn
	if sc, ok := nc.(syscall.Conn); ok {
		raw, _ = sc.SyscallConn()
	}
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		nc.Close()
		return
	}
	c.state, c.nc, c.raw, c.killErr, c.progress = up, nc, raw, nil, c.n.now()
	lead := len(c.queue) > 0 && !c.writing
	if lead {
		c.writing = true
	}
	c.mu.Unlock()
	if c.n.cfg.OnUp != nil {
		c.n.cfg.OnUp()
	}
	if lead {
		c.wake <- struct{}{}
	}
}

// goDown fails what is queued; nothing of it was sent.
func (c *conn) goDown(cause error) {
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return
	}
	first := c.state != down
	c.state = down
	c.downErr = &Error{Node: c.n.addr, Cause: ErrDown, Detail: cause}
	c.failQueue(c.downErr)
	c.mu.Unlock()
	if first && c.n.cfg.OnDown != nil {
		c.n.cfg.OnDown(cause)
	}
}

func (c *conn) failQueue(err error) {
	c.n.counters.errors.Add(uint64(len(c.queue)))
	for _, call := range c.queue {
		call.finish(err)
	}
	clear(c.queue)
	c.queue = c.queue[:0]
}

// tearDown fails what was sent on the lost connection. What is still queued
// waits for the next one, unless the server hangs: then calls fail at once.
func (c *conn) tearDown(cause error) (stuck bool) {
	c.mu.Lock()
	if c.killErr != nil {
		cause = c.killErr
	}
	lost := &Error{Node: c.n.addr, Cause: ErrLost, MaybeSent: true, Detail: cause}
	c.n.counters.errors.Add(uint64(c.flight.n))
	for c.flight.n > 0 {
		c.flight.pop().finish(lost)
	}
	c.flight = fifo{}
	c.nc, c.raw = nil, nil
	if c.state != closed {
		c.state = connecting
	}
	c.mu.Unlock()
	if stuck = errors.Is(cause, errStuck); stuck {
		c.goDown(cause)
	}
	return stuck
}

// kill closes the connection in use; run cleans up.
func (c *conn) kill(cause error) {
	c.mu.Lock()
	nc := c.nc
	if nc != nil && c.state == up {
		c.state, c.killErr = broken, cause
	}
	c.mu.Unlock()
	if nc != nil {
		nc.Close()
	}
}

func (c *conn) close() {
	c.mu.Lock()
	c.state = closed
	c.failQueue(c.n.errClosed)
	c.killErr = ErrClosed
	nc := c.nc
	c.watch.Stop()
	c.mu.Unlock()
	if nc != nil {
		nc.Close()
	}
}

// readLoop hands each reply to the call at the head.
func (c *conn) readLoop(nc net.Conn) error {
	var now int64
	r := newReader(nc, func(n int) {
		now = c.n.now()
		c.n.counters.in.Add(uint64(n))
		c.mu.Lock()
		c.progress = now
		c.mu.Unlock()
	})
	for {
		if err := r.await(); err != nil {
			return err
		}
		c.mu.Lock()
		if c.flight.n == 0 {
			c.mu.Unlock()
			return fmt.Errorf("%w: reply without a request", ErrProtocol)
		}
		call := c.flight.at(0)
		c.mu.Unlock()
		if err := call.parser.ReadReply(r); err != nil {
			return err
		}
		c.mu.Lock()
		c.flight.pop()
		c.mu.Unlock()
		c.n.counters.observe(now - call.started)
		call.finish(nil)
	}
}

// check runs while calls wait: it gives up on those whose time is up, and on
// the connection when it makes no progress.
func (c *conn) check() {
	c.mu.Lock()
	now := c.n.now()
	late := c.expire(now)
	stuck := false
	if c.state == up && c.flight.n > 0 {
		oldest := c.flight.at(0).sentAt
		limit := int64(c.n.cfg.Timeout)
		stuck = now-oldest > limit && now-c.progress > limit || now-oldest > 4*limit
	}
	if c.watching = c.flight.n > 0 || len(c.queue) > 0; c.watching && c.state != closed {
		c.watch.Reset(c.tick())
	}
	c.mu.Unlock()
	c.n.counters.errors.Add(late)
	c.n.counters.timeouts.Add(late)
	if stuck {
		c.kill(errStuck)
	}
}

func (c *conn) expire(now int64) (late uint64) {
	for i := range c.flight.n {
		if call := c.flight.at(i); call.deadline <= now && call.expire() {
			late++
		}
	}
	keep := c.queue[:0]
	for _, call := range c.queue {
		if call.deadline > now {
			keep = append(keep, call)
			continue
		}
		if call.expire() {
			late++
		}
		call.finish(nil) // leaves the queue, so it stops counting
	}
	clear(c.queue[len(keep):])
	c.queue = keep
	return late
}
