package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Bands reads a source several times, the most active rows first: the first
// pass yields the rows of the highest band of activity, the next one the band
// below, ... Reading is cheap beside writing, and memory stays constant, which
// sorting would not. Within a band rows keep the order of the source.
//
// Where the bands begin is told by a sample of the source; it is drawn with a
// fixed seed, so that a resumed run has the same bands.
type Bands struct {
	Source Source
	Column string // number, or time
	N      int    // zero value means 4

	bounds []float64 // greatest first; len N-1
}

// Name tells of the order.
func (b *Bands) Name() string { return b.Source.Name() + ", most active first by " + b.Column }

// Repeatable is that of the source.
func (b *Bands) Repeatable() bool { return b.Source.Repeatable() }

// Size is the source's, as often as it is read.
func (b *Bands) Size(ctx context.Context) (Size, error) {
	s, err := b.Source.Size(ctx)
	s.Units *= int64(b.n())
	return s, err
}

func (b *Bands) n() int {
	if b.N > 0 {
		return b.N
	}
	return 4
}

const (
	bandSample = 20_000
	bandRows   = 2_000_000 // at most so many are read for the sample
)

// learn finds the bounds of equally large bands.
func (b *Bands) learn(ctx context.Context) error {
	r, err := b.Source.Open(ctx, Position{})
	if err != nil {
		return err
	}
	defer r.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var sample []float64
	seen := 0
	for seen < bandRows && ctx.Err() == nil {
		row, err := r.Next()
		var bad *BadRow
		if errors.As(err, &bad) {
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		v, err := b.value(row)
		if err != nil {
			continue
		}
		if seen++; len(sample) < bandSample {
			sample = append(sample, v)
		} else if i := rng.IntN(seen); i < bandSample {
			sample[i] = v
		}
	}
	slices.Sort(sample)
	b.bounds = make([]float64, 0, b.n()-1)
	for i := 1; i < b.n() && len(sample) > 0; i++ {
		b.bounds = append(b.bounds, sample[len(sample)*(b.n()-i)/b.n()])
	}
	return ctx.Err()
}

// value is how active a row is; rows that do not say are the least active.
func (b *Bands) value(row *Row) (float64, error) {
	f, ok := row.Field(b.Column)
	if !ok {
		return 0, fmt.Errorf("no column %s", b.Column)
	}
	var tmp [64]byte
	return Activity(f.AppendText(tmp[:0]))
}

// Activity reads a number, or a time in RFC 3339 or as SQL writes it.
func Activity(text []byte) (float64, error) {
	if v, err := strconv.ParseFloat(string(text), 64); err == nil && v == v {
		return v, nil
	}
	t, err := ParseTime(string(text))
	if err != nil {
		return 0, err
	}
	return float64(t.UnixMilli()), nil
}

// ParseTime reads the times that sources have: RFC 3339, SQL, and seconds or
// milliseconds since 1970. What has no zone is UTC.
func ParseTime(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n >= 1e11 && n < 1e14:
			return time.UnixMilli(n), nil
		case n >= 0 && n < 1e11:
			return time.Unix(n, 0), nil
		}
		return time.Time{}, fmt.Errorf("%q is neither seconds nor milliseconds since 1970", s)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: RFC 3339, \"2006-01-02 15:04:05\" or seconds since 1970", s)
}

// band is 0 for the most active rows.
func (b *Bands) band(v float64) int {
	for i, bound := range b.bounds {
		if v >= bound {
			return i
		}
	}
	return len(b.bounds)
}

// Open goes on in the band of pos.
func (b *Bands) Open(ctx context.Context, pos Position) (Reader, error) {
	if !b.Repeatable() {
		return nil, &Error{File: b.Source.Name(), Err: errors.New("can be read only once, so not most active first"), Hint: "write it to a file first"}
	}
	if b.bounds == nil {
		if err := b.learn(ctx); err != nil {
			return nil, err
		}
	}
	r := &bandReader{b: b, ctx: ctx, at: pos.Band}
	pos.Band = 0
	var err error
	r.r, err = b.Source.Open(ctx, pos)
	return r, err
}

type bandReader struct {
	b    *Bands
	ctx  context.Context
	r    Reader
	at   int
	done int64
}

func (r *bandReader) Next() (*Row, error) {
	for {
		row, err := r.r.Next()
		var bad *BadRow
		switch {
		case errors.As(err, &bad):
			if r.at == 0 { // tell of each bad row once
				return nil, err
			}
			continue
		case err == io.EOF:
			if r.at >= len(r.b.bounds) {
				return nil, io.EOF
			}
			r.done += r.r.Done()
			r.r.Close()
			r.at++
			if r.r, err = r.b.Source.Open(r.ctx, Position{}); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		v, err := r.b.value(row)
		band := len(r.b.bounds)
		if err == nil {
			band = r.b.band(v)
		}
		if band == r.at {
			return row, nil
		}
	}
}

func (r *bandReader) Position() Position {
	p := r.r.Position()
	p.Band = r.at
	return p
}

func (r *bandReader) Done() int64 { return r.done + r.r.Done() }

func (r *bandReader) Close() error {
	if r.r == nil {
		return nil
	}
	return r.r.Close()
}
