package changelog

import (
	"bytes"
	"errors"
	"fmt"
	"net"
)

// errProtocol: the peer does not speak RESP, or an answer has another shape than asked for.
var errProtocol = errors.New("changelog: unexpected reply of redis")

// ReplyError is an error that Redis answered with.
type ReplyError string

func (e ReplyError) Error() string { return "changelog: redis: " + string(e) }

// wire reads RESP2 replies from a connection with as little copying as it can: what line and
// bulk return is valid until the next call.
type wire struct {
	conn net.Conn
	buf  []byte
	r, w int
	read int64 // bytes from the network
}

// at is how far the stream has been taken in.
func (w *wire) at() int64 { return w.read - int64(w.w-w.r) }

// more reads from the network behind what is buffered, making room first.
func (w *wire) more() error {
	if w.r > 0 && (w.r == w.w || w.w == len(w.buf)) {
		copy(w.buf, w.buf[w.r:w.w])
		w.r, w.w = 0, w.w-w.r
	}
	if w.w == len(w.buf) {
		w.buf = append(w.buf, make([]byte, max(64<<10, len(w.buf)))...)
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	w.read += int64(n)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = errProtocol
	}
	return err
}

// line returns the next line without its end.
func (w *wire) line() ([]byte, error) {
	from := 0
	for {
		if i := bytes.IndexByte(w.buf[w.r+from:w.w], '\n'); i >= 0 {
			i += from
			if i < 2 || w.buf[w.r+i-1] != '\r' {
				return nil, errProtocol
			}
			line := w.buf[w.r : w.r+i-1]
			w.r += i + 1
			return line, nil
		}
		from = w.w - w.r
		if from > 64<<10 {
			return nil, errProtocol
		}
		if err := w.more(); err != nil {
			return nil, err
		}
	}
}

// header reads a line that must begin with kind and returns its number; -1 is nil.
func (w *wire) header(kind byte) (int, error) {
	got, n, err := w.head()
	if err == nil && got != kind {
		err = fmt.Errorf("%w: %q where %q was due", errProtocol, got, kind)
	}
	return n, err
}

// head reads the line that begins a value: its kind and its number, -1 is nil.
func (w *wire) head() (kind byte, n int, err error) {
	line, err := w.line()
	if err != nil {
		return 0, 0, err
	}
	if line[0] == '-' {
		return 0, 0, ReplyError(line[1:])
	}
	if len(line) == 3 && line[1] == '-' && line[2] == '1' {
		return line[0], -1, nil
	}
	size, ok := number(line[1:])
	if !ok || size > 512<<20 {
		return 0, 0, fmt.Errorf("%w: %q", errProtocol, line)
	}
	return line[0], int(size), nil
}

// skip reads past one value of strings and arrays.
func (w *wire) skip() error {
	for left := 1; left > 0; left-- {
		kind, n, err := w.head()
		switch {
		case err != nil:
			return err
		case kind == '*':
			left += max(n, 0)
		case n >= 0:
			if _, err := w.take(n + 2); err != nil {
				return err
			}
		}
	}
	return nil
}

// bulk returns the next bulk string.
func (w *wire) bulk() ([]byte, error) {
	n, err := w.header('$')
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fmt.Errorf("%w: nil where a string was due", errProtocol)
	}
	b, err := w.take(n + 2)
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}

// take returns the next n bytes.
func (w *wire) take(n int) ([]byte, error) {
	for w.w-w.r < n {
		if err := w.more(); err != nil {
			return nil, err
		}
	}
	w.r += n
	return w.buf[w.r-n : w.r], nil
}

// appendArg and appendHead write a command.
func appendHead(dst []byte, n int) []byte { return appendLen(dst, '*', n) }

func appendArg(dst []byte, arg string) []byte {
	dst = appendLen(dst, '$', len(arg))
	dst = append(dst, arg...)
	return append(dst, '\r', '\n')
}

func appendLen(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = appendUint(dst, uint64(n))
	return append(dst, '\r', '\n')
}

func appendUint(dst []byte, n uint64) []byte {
	if n >= 10 {
		dst = appendUint(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}
