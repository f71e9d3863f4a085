package pipeline

import (
	"context"
	"sync/atomic"
)

// Parser reads the whole reply of one call. An error is fatal for the
// connection; what the server merely refuses is a result, not an error.
// Recycle is called when neither caller nor connection needs the call any more.
type Parser interface {
	ReadReply(r *Reader) error
	Recycle()
}

// The life of a call. Whoever moves it out of queued or sent decides what the
// caller sees; everybody else leaves it alone.
const (
	queued      uint32 = iota // in the queue of a connection: certainly not sent
	sent                      // handed to the network
	done                      // reply read or failed
	lateUnsent                // the watch gave up while it was queued
	lateSent                  // the watch gave up on the reply
	leftUnsent                // the caller's context ended while it was queued
	leftWaiting               // the caller's context ended, reply may come
)

// Call is one request and the room for its reply. Embed it, call Init once,
// then per use: fill Req, Node.Start, Wait, read the results, Release.
type Call struct {
	Req []byte // encoded request; must not change between Start and Release

	parser   Parser
	node     *Node
	wake     chan struct{}
	state    atomic.Uint32
	refs     atomic.Int32
	started  int64 // nanoseconds of Node.now
	deadline int64
	sentAt   int64
	bytes    int64
	err      error // valid in state done
}

// Init prepares a new Call for its first use.
func (c *Call) Init(p Parser) {
	c.parser = p
	c.wake = make(chan struct{}, 1)
}

// Wait blocks until the reply is there, its time is up or ctx ends. After a nil
// error the results may be read until Release; after another they must not.
func (c *Call) Wait(ctx context.Context) error {
	if gone := ctx.Done(); gone == nil {
		<-c.wake
	} else {
		select {
		case <-c.wake:
		case <-gone:
			if c.state.CompareAndSwap(queued, leftUnsent) {
				return &Error{Node: c.node.addr, Cause: ErrCanceled, Detail: ctx.Err()}
			}
			if c.state.CompareAndSwap(sent, leftWaiting) {
				return &Error{Node: c.node.addr, Cause: ErrCanceled, MaybeSent: true, Detail: ctx.Err()}
			}
			<-c.wake
		}
	}
	switch c.state.Load() {
	case lateUnsent:
		return c.node.errLateUnsent
	case lateSent:
		return c.node.errLateSent
	}
	return c.err
}

// Ready says whether Wait would return at once.
func (c *Call) Ready() bool { return len(c.wake) > 0 }

// Release gives the call back. The caller must not touch it afterwards.
func (c *Call) Release() {
	if c.refs.Add(-1) == 0 {
		c.parser.Recycle()
	}
}

// finish ends the call from the connection's side.
func (c *Call) finish(err error) {
	c.node.inFlight.Add(-1)
	c.node.inBytes.Add(-c.bytes)
	c.err = err
	if c.state.CompareAndSwap(sent, done) || c.state.CompareAndSwap(queued, done) {
		c.wake <- struct{}{}
	}
	c.Release()
}

// expire tells a waiting caller that time is up; the call stays where it is.
func (c *Call) expire() bool {
	if c.state.CompareAndSwap(queued, lateUnsent) || c.state.CompareAndSwap(sent, lateSent) {
		c.wake <- struct{}{}
		return true
	}
	return false
}
