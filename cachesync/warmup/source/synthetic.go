package source

import (
	"context"
	"io"
	"strconv"
)

// Synthetic makes up N users, the same ones each time: to rehearse and measure.
type Synthetic struct {
	N     int64
	Bytes int // of a user's JSON; zero value means 176, which makes a record of 200 bytes
}

// Name says what it is.
func (s *Synthetic) Name() string { return strconv.FormatInt(s.N, 10) + " synthetic users" }

// Repeatable is true.
func (s *Synthetic) Repeatable() bool { return true }

// Size is known.
func (s *Synthetic) Size(context.Context) (Size, error) { return Size{Rows: s.N, Units: s.N}, nil }

// Open goes on behind pos.Row users.
func (s *Synthetic) Open(_ context.Context, pos Position) (Reader, error) {
	want := s.Bytes
	if want == 0 {
		want = 176
	}
	return &syntheticReader{n: s.N, at: pos.Row, want: want, row: Row{File: "synthetic", Fields: make([]Field, 4)}}, nil
}

type syntheticReader struct {
	n, at int64
	want  int
	buf   []byte
	row   Row
}

func (r *syntheticReader) Next() (*Row, error) {
	if r.at >= r.n {
		return nil, io.EOF
	}
	r.at++
	b := append(r.buf[:0], `{"uid":"`...)
	uid := len(b)
	b = append(b, 's')
	for digit := int64(1e9); digit > 0; digit /= 10 {
		b = append(b, byte('0'+r.at/digit%10))
	}
	uidEnd := len(b)
	b = append(b, `","level":`...)
	level := len(b)
	b = strconv.AppendInt(b, r.at%100, 10)
	levelEnd := len(b)
	b = append(b, `,"fans":`...)
	fans := len(b)
	b = strconv.AppendInt(b, r.at*7919%1_000_000, 10)
	fansEnd := len(b)
	b = append(b, `,"about":"`...)
	about := len(b)
	for len(b) < r.want-2 {
		const filler = "the quick brown fox jumps over the lazy dog 0123456789 and comes back every evening at eight "
		b = append(b, filler[:min(len(filler), r.want-2-len(b))]...)
	}
	aboutEnd := len(b)
	r.buf = append(b, '"', '}')
	r.row.Line, r.row.Raw = r.at, r.buf
	r.row.Fields[0] = Field{Name: "uid", Text: r.buf[uid:uidEnd]}
	r.row.Fields[1] = Field{Name: "level", Kind: Number, Text: r.buf[level:levelEnd]}
	r.row.Fields[2] = Field{Name: "fans", Kind: Number, Text: r.buf[fans:fansEnd]}
	r.row.Fields[3] = Field{Name: "about", Text: r.buf[about:aboutEnd]}
	return &r.row, nil
}

func (r *syntheticReader) Position() Position { return Position{Row: r.at} }
func (r *syntheticReader) Done() int64        { return r.at }
func (r *syntheticReader) Close() error       { return nil }
