package changelog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"sluice/cachesync/record"
)

// ReaderConfig configures a Reader. Only Dial and Buckets are required.
type ReaderConfig struct {
	// Dial opens a connection to the source's Redis.
	Dial               func(ctx context.Context) (net.Conn, error)
	Username, Password string
	// Buckets that this Redis node holds; all are read by one XREAD (in a cluster the keys
	// of one XREAD must share a slot: one Reader per bucket there).
	Buckets []int
	// Count is the most entries per bucket and read; zero value means 512.
	Count int
	// Block is how long an idle read waits at the source; zero value means 200 ms. A
	// context ends it at once, since the connection is the Reader's own.
	Block time.Duration
	// Stream says that a Relay is at the other end: it is asked once and goes on sending.
	Stream bool
	// Settled is waited for after each reply of the source that holds something, before any of it
	// is handed over; nil means not to wait. See AwaitReplicas.
	Settled func(ctx context.Context) error
	// Timeout is how long beyond Block an answer may take; zero value means 2 s.
	Timeout time.Duration
}

// Sink takes what a Reader reads.
type Sink interface {
	// Entry is called for each entry; it and its payloads are valid during the call.
	Entry(bucket int, e *Entry)
	// Malformed is called for an entry that cannot be parsed: it is skipped.
	Malformed(bucket int, id ID, err error)
	// Beat is called for each heartbeat with the source's Redis time in Unix milliseconds.
	Beat(ms int64)
}

// Reader reads the change logs of many buckets over one connection of its own. It has no
// position of its own: whoever calls Read says from where. A Reader belongs to one goroutine.
type Reader struct {
	cfg    ReaderConfig
	keys   []string
	byKey  map[string]int // bucket; -1 is the heartbeat
	beat   string         // position in the heartbeat stream; "$" until one was heard
	bell   bool           // one stands at Redis: its reply comes first
	full   bool           // so was the last answer
	w      wire
	from   int64 // what w took in of the last answer begins and ends here
	to     int64
	cmd    []byte
	fields [][]byte
	spans  []int
	arena  []byte
	entry  Entry
	bytes  atomic.Int64
	told   []ID // where the last answer ended: a Relay goes on there, and a bell waits behind it; nil: nothing was asked
	place  map[int]int
}

// BeatKey is the stream of a node's heartbeats, under the tag of its first bucket.
func BeatKey(buckets []int) string { return record.BucketKey(buckets[0], "hb") }

// NewReader makes a Reader; it connects on the first Read.
func NewReader(cfg ReaderConfig) *Reader {
	if cfg.Count <= 0 {
		cfg.Count = 512
	}
	if cfg.Block <= 0 {
		cfg.Block = 200 * time.Millisecond
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Second
	}
	r := &Reader{cfg: cfg, byKey: map[string]int{}, beat: "$", place: map[int]int{}}
	for i, b := range cfg.Buckets {
		r.place[b] = i
		r.keys = append(r.keys, LogKey(b))
		r.byKey[LogKey(b)] = b
	}
	hb := BeatKey(cfg.Buckets)
	r.keys = append(r.keys, hb)
	r.byKey[hb] = -1
	return r
}

// BytesRead is what came over the network so far: the link is paid by the byte.
func (r *Reader) BytesRead() int64 { return r.bytes.Load() }

// Close closes the connection; the next Read opens a new one.
func (r *Reader) Close() {
	if r.w.conn != nil {
		r.w.conn.Close()
		r.w.conn = nil
	}
	r.told = nil
}

func (r *Reader) connect(ctx context.Context) error {
	conn, err := r.cfg.Dial(ctx)
	if err != nil {
		return fmt.Errorf("changelog: connect: %w", err)
	}
	r.w = wire{conn: conn, buf: r.w.buf, read: r.w.read}
	r.bell, r.full = false, true // as far as we know
	if r.cfg.Password == "" {
		return nil
	}
	r.cmd = appendHead(r.cmd[:0], 2)
	if r.cfg.Username != "" {
		r.cmd = appendArg(appendArg(appendHead(r.cmd[:0], 3), "AUTH"), r.cfg.Username)
	} else {
		r.cmd = appendArg(r.cmd, "AUTH")
	}
	r.cmd = appendArg(r.cmd, r.cfg.Password)
	conn.SetDeadline(time.Now().Add(r.cfg.Timeout))
	if _, err := conn.Write(r.cmd); err != nil {
		return fmt.Errorf("changelog: authenticate: %w", err)
	}
	line, err := r.w.line()
	if err == nil && line[0] == '-' {
		err = ReplyError(line[1:])
	}
	if err != nil {
		return fmt.Errorf("changelog: authenticate: %w", err)
	}
	return nil
}

// Read asks once for what comes behind pos (in the order of Buckets) and hands it to sink.
// It returns how many entries came and whether a bucket's answer was full, so that there is
// probably more at once. After an error the connection is closed; entries handed over before
// it are good.
func (r *Reader) Read(ctx context.Context, pos []ID, sink Sink) (n int, full bool, err error) {
	if (r.cfg.Stream || r.bell) && r.told != nil && !slices.Equal(r.told, pos) {
		r.Close() // the caller goes on elsewhere, and will not be kept waiting there
	}
	if r.bell && r.full {
		r.Close() // the rest is there already: the bell would not ring for it
	}
	if r.w.conn == nil {
		if err := r.connect(ctx); err != nil {
			r.Close()
			return 0, false, err
		}
	}
	conn := r.w.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetDeadline(time.Now().Add(r.cfg.Block + r.cfg.Timeout))
	if ctx.Err() != nil {
		return 0, false, ctx.Err()
	}
	rings := r.bell
	if !r.cfg.Stream || r.told == nil {
		_, err = conn.Write(r.request(pos))
	}
	r.told = append(r.told[:0], pos...)
	if rings && err == nil {
		err = r.w.skip()
	}
	if err == nil {
		r.from = r.w.at()
		n, full, err = r.reply(ctx, sink)
		r.full, r.to = full, r.w.at()
		r.bytes.Store(r.w.read)
	}
	if err != nil {
		r.Close()
		if ctx.Err() != nil {
			return n, full, ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("changelog: no reply within %s: %w", r.cfg.Block+r.cfg.Timeout, err)
		}
	}
	return n, full, err
}

func (r *Reader) reply(ctx context.Context, sink Sink) (n int, full bool, err error) {
	streams, err := r.w.header('*')
	if streams > 0 && err == nil && r.cfg.Settled != nil {
		if err := r.cfg.Settled(ctx); err != nil {
			return 0, false, err
		}
	}
	for range max(streams, 0) {
		if _, err = r.w.header('*'); err != nil {
			break
		}
		var key []byte
		if key, err = r.w.bulk(); err != nil {
			break
		}
		bucket, ok := r.byKey[string(key)]
		if !ok {
			return n, full, fmt.Errorf("%w: stream %q was not asked for", errProtocol, key)
		}
		var entries int
		if entries, err = r.w.header('*'); err != nil {
			break
		}
		for range entries {
			if err = r.one(bucket, sink); err != nil {
				return n, full, err
			}
		}
		if bucket >= 0 {
			n += entries
			full = full || entries >= r.cfg.Count
		}
	}
	return n, full, err
}

// one reads one entry. Its strings are gathered in the arena, since the connection's buffer
// may move under them.
func (r *Reader) one(bucket int, sink Sink) error {
	if _, err := r.w.header('*'); err != nil {
		return err
	}
	text, err := r.w.bulk()
	if err != nil {
		return err
	}
	if bucket < 0 {
		r.beat = string(text)
	}
	id, idErr := ParseID(text)
	if idErr != nil {
		return idErr
	}
	count, err := r.w.header('*')
	if err != nil {
		return err
	}
	r.arena, r.spans = r.arena[:0], r.spans[:0]
	for range max(count, 0) {
		b, err := r.w.bulk()
		if err != nil {
			return err
		}
		r.arena = append(r.arena, b...)
		r.spans = append(r.spans, len(r.arena))
	}
	if bucket < 0 {
		sink.Beat(int64(id.Epoch)) // the stream's own ids are Redis milliseconds
		return nil
	}
	r.fields = r.fields[:0]
	from := 0
	for _, to := range r.spans {
		r.fields = append(r.fields, r.arena[from:to:to])
		from = to
	}
	r.told[r.place[bucket]] = id
	e, err := parseFields(id, r.fields, r.entry.Changes[:0])
	r.entry = e
	if err != nil {
		sink.Malformed(bucket, id, err)
		return nil
	}
	sink.Entry(bucket, &r.entry)
	return nil
}
