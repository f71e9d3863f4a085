package source

import (
	"context"
	"fmt"
	"strconv"
)

// Source is something to read rows from.
type Source interface {
	// Name is for people: file names, the table, the URL.
	Name() string
	// Open starts reading behind pos.
	Open(ctx context.Context, pos Position) (Reader, error)
	// Size is how much there is, as far as it can be told without reading it all.
	Size(ctx context.Context) (Size, error)
	// Repeatable is false when the source can be read only once (stdin).
	Repeatable() bool
}

// Reader reads rows one after another.
type Reader interface {
	// Next returns the next row, io.EOF, a *BadRow or a *Error.
	Next() (*Row, error)
	// Position is behind the row that Next returned last.
	Position() Position
	// Done is how much of Size.Units was read.
	Done() int64
	Close() error
}

// Size of a source. Zero means unknown.
type Size struct {
	Rows  int64 // exact, as SQL and the synthetic source know it
	Units int64 // what Reader.Done counts: rows, or bytes of the files as stored

	MayBeEmpty bool // no row at all is no fault: it is of changes only
}

// Position is a place in a source; which fields it uses is the source's affair.
type Position struct {
	Band   int      `json:"band,omitempty"`   // pass over the files, see Bands
	File   string   `json:"file,omitempty"`   // being read
	Offset int64    `json:"offset,omitempty"` // in it, decompressed
	Line   int64    `json:"line,omitempty"`   // lines read of it
	Row    int64    `json:"row,omitempty"`    // rows read, or index in the page
	Keys   []string `json:"keys,omitempty"`   // SQL: order and key column of the last row
	Cursor string   `json:"cursor,omitempty"` // HTTP: of the page being read
	Header []string `json:"header,omitempty"` // CSV: columns of File
}

// Kind of a Field's text.
type Kind uint8

// Kinds. JSON is any JSON text, also a quoted string.
const (
	String Kind = iota
	Number
	Bool
	Null
	JSON
)

// Field is one named value of a row.
type Field struct {
	Name string
	Kind Kind
	Text []byte
}

// AppendText appends the value as bare text: for keys, versions and filters.
func (f Field) AppendText(dst []byte) []byte {
	if f.Kind == JSON && len(f.Text) > 0 && f.Text[0] == '"' {
		return appendUnquoted(dst, f.Text)
	}
	return append(dst, f.Text...)
}

// AppendJSON appends the value as JSON.
func (f Field) AppendJSON(dst []byte) []byte {
	switch f.Kind {
	case String:
		return appendQuoted(dst, f.Text)
	case Null:
		return append(dst, "null"...)
	}
	return append(dst, f.Text...)
}

// IsNull reports SQL and JSON nulls.
func (f Field) IsNull() bool { return f.Kind == Null || f.Kind == JSON && string(f.Text) == "null" }

// Row is what a source yields.
type Row struct {
	File   string // or table, or URL
	Line   int64  // or row number, from 1
	Fields []Field
	Raw    []byte // the whole row as a JSON object, when that is how it came
	Cut    bool   // the file stops behind it without a line end: it may be half a row
}

// Field finds a field by name.
func (r *Row) Field(name string) (Field, bool) {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i], true
		}
	}
	return Field{}, false
}

// Where is "file:line".
func (r *Row) Where() string { return where(r.File, r.Line) }

func where(file string, line int64) string { return file + ":" + strconv.FormatInt(line, 10) }

// BadRow is a row that cannot be used. The rows behind it may be good.
type BadRow struct {
	File   string
	Line   int64
	Reason string
	Row    []byte // the beginning of it
	Cut    bool   // as of Row: the source ended early
}

func (e *BadRow) Error() string { return where(e.File, e.Line) + ": " + e.Reason }

// sampleBytes of a bad row are kept for the reject file.
const sampleBytes = 512

func badRow(file string, line int64, row []byte, format string, args ...any) *BadRow {
	return &BadRow{File: file, Line: line, Reason: fmt.Sprintf(format, args...), Row: append([]byte(nil), row[:min(len(row), sampleBytes)]...)}
}

// Bad makes a BadRow of a row that a later step refuses.
func (r *Row) Bad(format string, args ...any) *BadRow {
	sample := r.Raw
	if sample == nil {
		sample = append(sample, '{')
		for i, f := range r.Fields {
			if i > 0 {
				sample = append(sample, ',')
			}
			sample = appendQuoted(sample, []byte(f.Name))
			sample = append(sample, ':')
			sample = f.AppendJSON(sample)
			if len(sample) > sampleBytes {
				break
			}
		}
		sample = append(sample, '}')
	}
	bad := badRow(r.File, r.Line, sample, format, args...)
	bad.Cut = r.Cut
	return bad
}

// Error ends the reading of a source: nothing behind it can be read.
type Error struct {
	File string
	Line int64 // of the last row read well; 0 = unknown
	Err  error
	Hint string // what to do
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = where(e.File, e.Line)
	}
	s += ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
