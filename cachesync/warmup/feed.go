package warmup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"sluice/cachesync/record"
	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/source"
)

// Feed yields the records of a set, in one order, always the same.
type Feed interface {
	Name() string
	Size(ctx context.Context) (source.Size, error)
	Repeatable() bool
	Open(ctx context.Context, pos source.Position, openedAt time.Time) (FeedReader, error)
}

// FeedReader reads records one after another.
type FeedReader interface {
	// Next appends the next record to buf. Its error is io.EOF, plan.ErrFiltered, a
	// *source.BadRow, or what ended the source.
	Next(buf []byte) (plan.Item, []byte, error)
	Position() source.Position
	Done() int64
	Close() error
}

// Rows is the Feed of a source of rows.
type Rows struct {
	Source source.Source
	Plan   plan.Config
}

// Name is the source's.
func (f Rows) Name() string { return f.Source.Name() }

// Fingerprint tells also what becomes of the rows: a saved position is good for
// the same set made in the same way only.
func (f Rows) Fingerprint() string {
	p := f.Plan
	return fmt.Sprintf("%s; key %s, fields %v, version %s epoch %d, filter %s, transform %t", f.Name(), p.Key, p.Fields, p.VersionColumn, p.Epoch, p.Filter, p.Transform != nil)
}

// Size is the source's.
func (f Rows) Size(ctx context.Context) (source.Size, error) { return f.Source.Size(ctx) }

// Repeatable is the source's.
func (f Rows) Repeatable() bool { return f.Source.Repeatable() }

// Open goes on behind pos.
func (f Rows) Open(ctx context.Context, pos source.Position, openedAt time.Time) (FeedReader, error) {
	cfg := f.Plan
	cfg.OpenedAt = openedAt
	p, err := plan.Compile(cfg)
	if err != nil {
		return nil, fail(ExitUsage, "%w", err)
	}
	r, err := f.Source.Open(ctx, pos)
	if err != nil {
		return nil, err
	}
	return &rowReader{Reader: r, plan: p}, nil
}

type rowReader struct {
	source.Reader
	plan *plan.Plan
}

func (r *rowReader) Next(buf []byte) (plan.Item, []byte, error) {
	row, err := r.Reader.Next()
	if err != nil {
		return plan.Item{}, buf, err
	}
	return r.plan.Convert(row, buf)
}

// HomeRecord is a record that a home knows, such as a red packet or a room.
type HomeRecord struct {
	Key     string
	Record  record.Record
	Expires time.Time // zero value means the run's KeepUntil
}

// Home lists what a home will be asked for in the hour: its red packets, prize
// tables and rooms. The order must be the same each time, as far as it can be.
type Home interface {
	Name() string
	Records(ctx context.Context, from, to time.Time) iter.Seq2[HomeRecord, error]
}

// Tonight is the Feed of what homes hold for one hour.
type Tonight struct {
	Homes     []Home
	From, To  time.Time
	KeepUntil time.Time
	Spread    time.Duration
}

// Name tells the hour.
func (t Tonight) Name() string {
	return "red packets, prizes and rooms of " + t.From.Format(time.RFC3339) + " from " + strconv.Itoa(len(t.Homes)) + " homes"
}

// Size is unknown.
func (t Tonight) Size(context.Context) (source.Size, error) { return source.Size{}, nil }

// Repeatable is true.
func (t Tonight) Repeatable() bool { return true }

// Open goes on behind pos.Row records of home pos.File.
func (t Tonight) Open(ctx context.Context, pos source.Position, _ time.Time) (FeedReader, error) {
	r := &homeReader{t: t, ctx: ctx, skip: pos.Row}
	for r.home < len(t.Homes) && pos.File != "" && t.Homes[r.home].Name() != pos.File {
		r.home++
	}
	if r.home == len(t.Homes) && pos.File != "" {
		r.home, r.skip = 0, 0 // a home that is no more: all over again
	}
	return r, nil
}

type homeReader struct {
	t    Tonight
	ctx  context.Context
	home int
	row  int64 // of the home
	skip int64
	done int64
	next func() (HomeRecord, error, bool)
	stop func()
}

func (r *homeReader) Next(buf []byte) (plan.Item, []byte, error) {
	for {
		if r.home >= len(r.t.Homes) {
			return plan.Item{}, buf, io.EOF
		}
		h := r.t.Homes[r.home]
		if r.next == nil {
			r.next, r.stop = iter.Pull2(h.Records(r.ctx, r.t.From, r.t.To))
		}
		rec, err, ok := r.next()
		if !ok {
			r.Close()
			r.home++
			r.row, r.skip = 0, 0
			continue
		}
		if err != nil {
			return plan.Item{}, buf, &source.Error{File: "home " + h.Name(), Line: r.row, Err: err}
		}
		r.row++
		if r.row <= r.skip {
			continue
		}
		r.done++
		return r.item(h, rec, buf)
	}
}

func (r *homeReader) item(h Home, rec HomeRecord, buf []byte) (plan.Item, []byte, error) {
	bad := func(why string) error {
		return &source.BadRow{File: "home " + h.Name(), Line: r.row, Reason: why, Row: []byte(rec.Key)}
	}
	if len(rec.Key)+record.HeaderSize+len(rec.Record.Payload) > plan.MaxValue {
		return plan.Item{}, buf, bad("record of " + rec.Key + " is larger than memcached takes")
	}
	if len(rec.Key) == 0 || len(rec.Key) > 250 {
		return plan.Item{}, buf, bad("key of " + strconv.Itoa(len(rec.Key)) + " bytes")
	}
	item := plan.Item{Key: rec.Key, Version: rec.Record.Version, Expiry: plan.Expiry([]byte(rec.Key), r.t.KeepUntil, r.t.Spread)}
	if !rec.Expires.IsZero() {
		item.Expiry = int32(rec.Expires.Unix())
	}
	start := len(buf)
	buf = rec.Record.Append(buf)
	item.Value = buf[start:len(buf):len(buf)]
	return item, buf, nil
}

func (r *homeReader) Position() source.Position {
	if r.home >= len(r.t.Homes) {
		return source.Position{File: r.t.Homes[len(r.t.Homes)-1].Name(), Row: 1 << 62}
	}
	return source.Position{File: r.t.Homes[r.home].Name(), Row: r.row}
}

func (r *homeReader) Done() int64 { return r.done }

func (r *homeReader) Close() error {
	if r.stop != nil {
		r.stop()
		r.next, r.stop = nil, nil
	}
	return nil
}

func fingerprint(f Feed) string {
	if p, ok := f.(interface{ Fingerprint() string }); ok {
		return p.Fingerprint()
	}
	return f.Name()
}

// skipped reports rows that are no reason to stop.
func skipped(err error) (bad *source.BadRow, filtered bool) {
	if err == nil { // most rows; errors.As would make garbage for each
		return nil, false
	}
	errors.As(err, &bad)
	return bad, errors.Is(err, plan.ErrFiltered)
}
