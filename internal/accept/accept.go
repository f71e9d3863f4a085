// Package accept is the loop of every listener that is not fasthttp's: it takes connections
// until its context ends, and rests where taking one fails for a while, as it does when the
// process is out of file descriptors.
//
//	err := accept.Serve(ctx, ln, log, func(conn net.Conn) {
//		defer conn.Close()
//		...
//	})
//
// Each connection has a goroutine of its own; Serve returns when all of them have. They end by
// themselves, or with ctx: to close the connection is the handler's affair.
package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// rest is how long the loop waits after a connection that could not be taken.
const rest = 50 * time.Millisecond

// Serve hands every connection of ln to handle. It returns nil when ctx ended, which closes ln,
// and an error only when somebody else closed it.
func Serve(ctx context.Context, ln net.Listener, log *slog.Logger, handle func(conn net.Conn)) error {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	for failed := false; ; {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			failed = false
			wg.Go(func() { handle(conn) })
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case !failed: // once, not twenty times a second
			failed = true
			log.Warn("no connection can be taken for the moment", "addr", ln.Addr().String(), "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}
