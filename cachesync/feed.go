package cachesync

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"sluice/cachesync/record"
	"sluice/internal/accept"
)

// The feed tells the gateways of a region which keys have a newer version in memcached, so
// that their process-local copies are as young as the region itself. One frame a key:
//
//	version 8 bytes | length of key 2 bytes | key
//
// A frame with an empty key every 50 ms says that all before it is told. Wins are left out:
// a copy of a win never changes.

const feedEvery = 50 * time.Millisecond

// feed sends invalidations to everybody who connected. One that does not read fast enough
// is cut off: it will know that it missed something.
type feed struct {
	log  *slog.Logger
	mu   sync.Mutex
	outs map[*feedOut]struct{}
}

type feedOut struct {
	conn net.Conn
	buf  []byte // guarded by the feed's mu
	wake chan struct{}
}

const feedMax = 4 << 20

func newFeed(log *slog.Logger) *feed { return &feed{log: log, outs: map[*feedOut]struct{}{}} }

func (f *feed) applied(key string, v Version) {
	if strings.HasPrefix(key, record.PrefixWin) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for o := range f.outs {
		f.put(o, key, v)
	}
}

// put appends a frame; the caller holds mu.
func (f *feed) put(o *feedOut, key string, v Version) {
	o.buf = binary.BigEndian.AppendUint64(o.buf, uint64(v))
	o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(len(key)))
	o.buf = append(o.buf, key...)
	if len(o.buf) > feedMax {
		o.conn.Close()
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (f *feed) serve(ctx context.Context, addr string) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("cachesync: invalidation feed: %w", err)
	}
	return accept.Serve(ctx, ln, f.log, func(conn net.Conn) { f.send(ctx, conn) })
}

func (f *feed) send(ctx context.Context, conn net.Conn) {
	o := &feedOut{conn: conn, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	f.outs[o] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.outs, o)
		f.mu.Unlock()
		conn.Close()
	}()
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-tick.C:
			f.mu.Lock()
			f.put(o, "", 0)
			f.mu.Unlock()
		}
		f.mu.Lock()
		out := o.buf
		o.buf = spare[:0]
		f.mu.Unlock()
		conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		if _, err := conn.Write(out); err != nil {
			return
		}
		spare = out
	}
}

// Listen keeps the process-local copies of a gateway current from its region's Syncer at
// addr (Config.Invalidations), until the context ends. While the feed is away copies are
// blind; when it is back they are all forgotten.
func (c *Cache) Listen(ctx context.Context, addr string, log *slog.Logger) error {
	for wait := 10 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, time.Second) {
		began := c.now()
		if err := c.listen(ctx, addr); err != nil && ctx.Err() == nil && wait == 10*time.Millisecond {
			log.Warn("invalidation feed is away: process-local copies are short-lived", "addr", addr, "err", err)
		}
		if c.now().Sub(began) > 5*time.Second {
			wait = 10 * time.Millisecond
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return ctx.Err()
}

func (c *Cache) listen(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c.Forget()
	r := bufio.NewReaderSize(conn, 64<<10)
	var head [10]byte
	key := make([]byte, 0, 256)
	for {
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(head[8:]))
		if n == 0 {
			c.Alive()
			continue
		}
		if n > 250 {
			return errors.New("cachesync: invalidation feed: key too long: not a feed")
		}
		key = key[:n]
		if _, err := io.ReadFull(r, key); err != nil {
			return err
		}
		c.Applied(string(key), Version(binary.BigEndian.Uint64(head[:8])))
	}
}
