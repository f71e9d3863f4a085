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
	line, err := w.line()
	if err != nil {
		return 0, err
	}
	if line[0] == '-' {
		return 0, ReplyError(line[1:])
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%w: %q where %q was due", errProtocol, line, kind)
	}
	if len(line) == 3 && line[1] == '-' && line[2] == '1' {
		return -1, nil
	}
	n, ok := number(line[1:])
	if !ok || n > 512<<20 {
		return 0, fmt.Errorf("%w: %q", errProtocol, line)
	}
	return int(n), nil
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
	for w.w-w.r < n+2 {
		if err := w.more(); err != nil {
			return nil, err
		}
	}
	b := w.buf[w.r : w.r+n]
	w.r += n + 2
	return b, nil
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
