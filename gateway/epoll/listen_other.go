//go:build !linux

package epoll

import (
	"context"
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// Listener is a net.Listener.
type Listener struct {
	net.Listener
	served sync.WaitGroup
}

// Listen is net.Listen.
func Listen(network, address string, _ Options) (*Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: ln}, nil
}

// Serve gives every connection a goroutine until Close.
func (l *Listener) Serve(serve func(net.Conn) error) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		l.served.Go(func() { serve(c) })
	}
}

// Drain waits after Close until all connections are closed.
func (l *Listener) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { l.served.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ConnState has nothing to do.
func ConnState(net.Conn, fasthttp.ConnState) {}
