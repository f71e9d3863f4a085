package changelog

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"sluice/cachesync/record"
	"sluice/internal/accept"
)

// Relay stands beside a home's Redis and sends its change logs to far regions without being
// asked again: a Reader with Stream set writes one XREAD, and gets one reply after another.
// Over a line with a delay that saves the way of the next question, during which changes would
// wait. What it sends are Redis' own replies, byte by byte.
type Relay struct {
	// Dial opens a connection to the Redis that holds a bucket.
	Dial func(ctx context.Context, bucket int) (net.Conn, error)
	// Username and Password of the Redis; readers must know the password too.
	Username, Password string
	// Settled is waited for before a reply is sent on; nil means not to wait.
	Settled func(ctx context.Context) error
	Log     *slog.Logger // nil means slog.Default
}

// Serve answers readers until the context ends.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error {
	log := r.Log
	if log == nil {
		log = slog.Default()
	}
	return accept.Serve(ctx, ln, log, func(conn net.Conn) {
		defer conn.Close()
		if err := r.serve(ctx, conn); err != nil && ctx.Err() == nil {
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(conn, "-ERR %s\r\n", strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error()))
		}
	})
}

// errRelay: a reader asks for what a relay does not give.
var errRelay = errors.New("changelog: relay: only AUTH and XREAD of change logs are answered")

func (r *Relay) serve(ctx context.Context, conn net.Conn) error {
	w := wire{conn: conn}
	allowed := r.Password == ""
	for {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		args, err := command(&w)
		if err != nil {
			return err
		}
		switch {
		case strings.EqualFold(args[0], "AUTH") && len(args) >= 2:
			allowed = subtle.ConstantTimeCompare([]byte(args[len(args)-1]), []byte(r.Password)) == 1
			if !allowed {
				return errors.New("WRONGPASS wrong password")
			}
			if _, err := conn.Write([]byte("+OK\r\n")); err != nil {
				return err
			}
		case !allowed:
			return errors.New("NOAUTH authentication required")
		default:
			buckets, pos, count, err := parseRead(args)
			if err != nil {
				return err
			}
			return r.stream(ctx, conn, buckets, pos, count)
		}
	}
}

// command reads one command of at most 300 short arguments.
func command(w *wire) ([]string, error) {
	n, err := w.header('*')
	if err != nil {
		return nil, err
	}
	if n < 1 || n > 300 {
		return nil, errRelay
	}
	args := make([]string, n)
	for i := range args {
		b, err := w.bulk()
		if err != nil {
			return nil, err
		}
		if len(b) > 512 {
			return nil, errRelay
		}
		args[i] = string(b)
	}
	return args, nil
}

// parseRead takes apart what Reader.request writes: logs of buckets, then the heartbeats.
func parseRead(args []string) (buckets []int, pos []ID, count int, err error) {
	if len(args) < 10 || args[0] != "XREAD" || args[1] != "COUNT" || args[5] != "STREAMS" || len(args)%2 != 0 {
		return nil, nil, 0, errRelay
	}
	if count, err = strconv.Atoi(args[2]); err != nil || count < 1 || count > 100_000 {
		return nil, nil, 0, errRelay
	}
	rest := args[6:]
	n := len(rest)/2 - 1
	for i := range n {
		b, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rest[i], "{b"), "}:log"))
		if err != nil || b < 0 || b >= record.Buckets || rest[i] != LogKey(b) {
			return nil, nil, 0, errRelay
		}
		id, err := ParseID(rest[n+1+i])
		if err != nil {
			return nil, nil, 0, err
		}
		buckets, pos = append(buckets, b), append(pos, id)
	}
	return buckets, pos, count, nil
}

// stream sends reply after reply. A reader that does not take them holds up nobody else, and
// is cut off after a while.
func (r *Relay) stream(ctx context.Context, conn net.Conn, buckets []int, pos []ID, count int) error {
	var t *tap
	up := NewReader(ReaderConfig{
		Buckets: buckets, Count: count, Username: r.Username, Password: r.Password, Settled: r.Settled,
		Dial: func(ctx context.Context) (net.Conn, error) {
			c, err := r.Dial(ctx, buckets[0])
			t = &tap{Conn: c}
			return t, err
		},
	})
	defer up.Close()
	s := &follower{at: map[int]int{}, pos: pos}
	for i, b := range buckets {
		s.at[b] = i
	}
	for ctx.Err() == nil {
		if _, _, err := up.Read(ctx, s.pos, s); err != nil {
			return err
		}
		conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Write(t.part(up.from, up.to, up.w.read)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tap keeps what was read since the last write: the last answer is a part of it, a bell may
// have rung before and after.
type tap struct {
	net.Conn
	got []byte
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.got = append(t.got, b[:n]...)
	return n, err
}

// part is what was read from one place in the stream to another; read is how long that is by now.
func (t *tap) part(from, to, read int64) []byte {
	at := read - int64(len(t.got))
	return t.got[from-at : to-at]
}

func (t *tap) Write(b []byte) (int, error) {
	t.got = t.got[:0]
	return t.Conn.Write(b)
}

// follower is a Sink that only keeps positions.
type follower struct {
	at  map[int]int
	pos []ID
}

func (f *follower) Entry(bucket int, e *Entry)           { f.pos[f.at[bucket]] = e.ID }
func (f *follower) Malformed(bucket int, id ID, _ error) { f.pos[f.at[bucket]] = id }
func (f *follower) Beat(int64)                           {}
