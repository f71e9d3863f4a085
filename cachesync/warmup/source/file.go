package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Files reads CSV and JSON lines, one file after another in the order of their
// names. Compression is told by the first bytes, the format by the name.
type Files struct {
	Patterns []string  // paths and globs; "-" is Stdin
	Format   string    // "csv", "jsonl", or "" to tell by the name: .csv .tsv .json .jsonl .ndjson, before .gz or .zst
	Comma    byte      // of CSV; zero value means ',' and for .tsv a tab
	Stdin    io.Reader // for "-"

	paths []string
}

// Resolve expands the globs. A pattern without a file is an error: it is more
// likely a missing export than an empty one.
func (f *Files) Resolve() error {
	f.paths = nil
	for _, p := range f.Patterns {
		if p == "-" {
			if len(f.Patterns) > 1 {
				return errors.New("stdin (-) cannot be mixed with files")
			}
			if f.Format == "" {
				return errors.New("stdin has no name to tell its format by; give --format csv or jsonl")
			}
			f.paths = []string{"-"}
			return nil
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if len(found) == 0 {
			return fmt.Errorf("%s: no such file; has the export run?", p)
		}
		for _, path := range found {
			if _, err := f.format(path); err != nil {
				return err
			}
		}
		f.paths = append(f.paths, found...)
	}
	slices.Sort(f.paths)
	f.paths = slices.Compact(f.paths)
	if len(f.paths) == 0 {
		return errors.New("no file named")
	}
	return nil
}

func (f *Files) format(path string) (string, error) {
	if f.Format != "" {
		return f.Format, nil
	}
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), ".zst"), ".zstd")
	switch filepath.Ext(name) {
	case ".csv", ".tsv":
		return "csv", nil
	case ".json", ".jsonl", ".ndjson":
		return "jsonl", nil
	}
	return "", fmt.Errorf("%s: the name does not tell the format; give --format csv or jsonl", path)
}

// Name lists the files, or the first of many.
func (f *Files) Name() string {
	if len(f.paths) > 3 {
		return fmt.Sprintf("%s and %d more files", f.paths[0], len(f.paths)-1)
	}
	return strings.Join(f.paths, ", ")
}

// Repeatable is false for stdin.
func (f *Files) Repeatable() bool { return len(f.paths) > 0 && f.paths[0] != "-" }

// Size is the bytes of all files, as they are stored.
func (f *Files) Size(context.Context) (Size, error) {
	var s Size
	if !f.Repeatable() {
		return s, nil
	}
	for _, p := range f.paths {
		st, err := os.Stat(p)
		if err != nil {
			return s, &Error{File: p, Err: err}
		}
		if st.IsDir() {
			return s, &Error{File: p, Err: errors.New("is a folder"), Hint: "name the files in it: " + p + "/*.csv"}
		}
		s.Units += st.Size()
	}
	return s, nil
}

// Open goes on behind pos; files that come before pos.File are read already.
func (f *Files) Open(ctx context.Context, pos Position) (Reader, error) {
	r := &fileReader{f: f, ctx: ctx}
	if pos.File != "" {
		i := slices.Index(f.paths, pos.File)
		if i < 0 {
			return nil, &Error{File: pos.File, Err: errors.New("the saved position is in a file that is not part of the source any more"), Hint: "start over with --restart"}
		}
		for _, p := range f.paths[:i] {
			if st, err := os.Stat(p); err == nil {
				r.before += st.Size()
			}
		}
		r.next = i
	}
	return r, r.open(pos)
}

type fileReader struct {
	f      *Files
	ctx    context.Context
	next   int // index of the file to open next
	before int64
	size   int64

	path   string
	file   io.Closer
	count  *countingReader
	unpack io.Closer
	lines  *lineReader
	rows   interface{ Next() (*Row, error) }
	header []string
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// open opens the next file at pos, which counts only if it is in that file.
func (r *fileReader) open(pos Position) error {
	r.path = r.f.paths[r.next]
	r.next++
	if pos.File != r.path {
		pos = Position{}
	}
	var raw io.Reader = r.f.Stdin
	var seeker io.Seeker
	if r.path != "-" {
		file, err := os.Open(r.path)
		if err != nil {
			return &Error{File: r.path, Err: err}
		}
		raw, r.file, seeker = file, file, file
		if st, err := file.Stat(); err == nil {
			r.size = st.Size()
		}
	}
	r.count = &countingReader{r: raw}
	buf := bufio.NewReaderSize(r.count, 256<<10)
	magic, _ := buf.Peek(4)
	var in io.Reader = buf
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buf)
		if err != nil {
			return r.fail(err)
		}
		in, r.unpack = z, z
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return r.fail(err)
		}
		in, r.unpack = z, z.IOReadCloser()
	case pos.Offset > 0 && seeker != nil:
		// A plain file need not be read up to pos.
		if pos.Offset > r.size {
			return &Error{File: r.path, Line: pos.Line, Err: fmt.Errorf("is shorter (%d bytes) than the saved position (%d)", r.size, pos.Offset), Hint: "it was replaced meanwhile: start over with --restart"}
		}
		if _, err := seeker.Seek(pos.Offset, io.SeekStart); err != nil {
			return r.fail(err)
		}
		buf.Reset(r.count)
		r.count.n = pos.Offset
		return r.begin(buf, pos)
	}
	if pos.Offset > 0 {
		if n, err := io.CopyN(io.Discard, in, pos.Offset); err != nil {
			return &Error{File: r.path, Line: pos.Line, Err: fmt.Errorf("ends at byte %d, before the saved position %d: %w", n, pos.Offset, err), Hint: "it was replaced meanwhile: start over with --restart"}
		}
	}
	return r.begin(in, pos)
}

// begin reads from in, which stands at pos.
func (r *fileReader) begin(in io.Reader, pos Position) error {
	r.lines = newLineReader(in, pos.Offset, pos.Line)
	format, err := r.f.format(r.path)
	if err != nil {
		return err
	}
	if format == "jsonl" {
		r.header = nil
		r.rows = &jsonReader{lines: r.lines, file: r.path}
		return nil
	}
	c := &csvReader{lines: r.lines, file: r.path, comma: r.f.Comma, header: pos.Header}
	if c.comma == 0 {
		c.comma = ','
		if strings.Contains(strings.ToLower(filepath.Base(r.path)), ".tsv") {
			c.comma = '\t'
		}
	}
	if c.header == nil {
		if err := c.readHeader(); err != nil {
			return err
		}
	}
	r.header, r.rows = c.header, c
	return nil
}

func (r *fileReader) fail(err error) error {
	hint := ""
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err, hint = fmt.Errorf("the file ends early: %w", err), "was the export or the copy cut off?"
	}
	e := &Error{File: r.path, Err: err, Hint: hint}
	if r.lines != nil {
		e.Line = r.lines.line
	}
	return e
}

func (r *fileReader) Next() (*Row, error) {
	for {
		row, err := r.rows.Next()
		if err == nil {
			row.Cut = r.lines.cut
			return row, nil
		}
		var bad *BadRow
		if errors.As(err, &bad) {
			bad.Cut = r.lines.cut
			return nil, err
		}
		var fatal *Error
		if errors.As(err, &fatal) {
			return nil, err
		}
		if err != io.EOF {
			return nil, r.fail(err)
		}
		if r.next == len(r.f.paths) {
			return nil, io.EOF
		}
		r.before += r.size
		r.closeFile()
		if err := r.open(Position{}); err != nil {
			return nil, err
		}
	}
}

func (r *fileReader) Position() Position {
	return Position{File: r.path, Offset: r.lines.offset, Line: r.lines.line, Header: r.header}
}

func (r *fileReader) Done() int64 { return r.before + r.count.n }

func (r *fileReader) closeFile() {
	if r.unpack != nil {
		r.unpack.Close()
		r.unpack = nil
	}
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

func (r *fileReader) Close() error {
	r.closeFile()
	return nil
}
