package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of an answer. What is longer than MaxBody is counted but not kept.
const (
	MaxHead = 64 << 10
	MaxBody = 1 << 20
)

// ErrMalformed is wrapped by every error about an answer that is not HTTP/1.1.
var ErrMalformed = errors.New("answer is not HTTP/1.1")

var headEnd = []byte("\r\n\r\n")

type state uint8

const (
	inHead state = iota
	inLength
	inChunks
	untilEnd
	done
)

// Parser reads one answer; the zero value is ready.
type Parser struct {
	Status int
	Body   []byte // at most MaxBody bytes
	Size   int64  // of the body, whole
	Close  bool   // the server will close the connection
	Head   bool   // set before Feed: the request was HEAD, so there is no body

	state   state
	buf     []byte // bytes not yet understood, only when an answer came in parts
	scanned int
	left    int64 // of a body with a length, or of a chunk with its CRLF
	keep    []byte
	trailer bool
}

// Done says that the answer is complete.
func (p *Parser) Done() bool { return p.state == done }

// Reset makes the parser ready for the next answer on the same connection.
func (p *Parser) Reset() {
	if cap(p.keep) > 64<<10 { // one large answer must not pin memory for the run
		p.keep = nil
	}
	*p = Parser{buf: p.buf[:0], keep: p.keep[:0]}
}

// Feed takes the bytes that arrived next.
func (p *Parser) Feed(b []byte) error {
	if p.state == done {
		if len(b) > 0 {
			return fmt.Errorf("%w: %d bytes after its end", ErrMalformed, len(b))
		}
		return nil
	}
	if len(p.buf) > 0 {
		p.buf = append(p.buf, b...)
		b = p.buf
	}
	rest, err := p.parse(b)
	if err != nil {
		return err
	}
	if p.state == done && len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after its end", ErrMalformed, len(rest))
	}
	p.buf = append(p.buf[:0], rest...) // rest may overlap buf: append moves it down
	return nil
}

// End tells that the server closed the connection; it is an error in the middle of an answer.
func (p *Parser) End() error {
	switch {
	case p.state == untilEnd:
		p.finish()
		return nil
	case p.state == done:
		return nil
	}
	return fmt.Errorf("%w: connection ended inside it", ErrMalformed)
}

// parse returns what it could not yet use.
func (p *Parser) parse(b []byte) ([]byte, error) {
	for {
		switch p.state {
		case inHead:
			from := max(p.scanned-3, 0)
			i := bytes.Index(b[from:], headEnd)
			if i < 0 {
				if p.scanned = len(b); len(b) > MaxHead {
					return nil, fmt.Errorf("%w: head is longer than %d bytes", ErrMalformed, MaxHead)
				}
				return b, nil
			}
			head := b[:from+i]
			b, p.scanned = b[from+i+4:], 0
			if err := p.head(head); err != nil {
				return nil, err
			}
		case inLength:
			if p.Size == 0 && int64(len(b)) >= p.left && p.left <= MaxBody { // whole: no copy
				p.Body, p.Size = b[:p.left], p.left
				p.state = done
				return b[p.left:], nil
			}
			n := min(int64(len(b)), p.left)
			p.store(b[:n])
			b, p.left = b[n:], p.left-n
			if p.left > 0 {
				return nil, nil
			}
			p.finish()
		case untilEnd:
			p.store(b)
			return nil, nil
		case inChunks:
			rest, more, err := p.chunk(b)
			if err != nil || more {
				return rest, err
			}
			b = rest
		case done:
			return b, nil
		}
	}
}

func (p *Parser) store(b []byte) {
	p.Size += int64(len(b))
	if room := MaxBody - len(p.keep); room > 0 {
		p.keep = append(p.keep, b[:min(room, len(b))]...)
	}
}

func (p *Parser) finish() { p.Body, p.state = p.keep, done }

// head reads the status line and the four headers that matter.
func (p *Parser) head(h []byte) error {
	line, rest, _ := bytes.Cut(h, crlf)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return fmt.Errorf("%w: it begins %.40q", ErrMalformed, line)
	}
	status := 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return fmt.Errorf("%w: status line %.40q", ErrMalformed, line)
		}
		status = status*10 + int(c-'0')
	}
	if status >= 100 && status < 200 {
		return nil // interim answer: the real one follows
	}
	p.Status, p.Close = status, line[7] == '0'
	p.left, p.state = -1, untilEnd
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		if err := p.header(line); err != nil {
			return err
		}
	}
	switch {
	case p.Head || status == 204 || status == 304:
		p.finish()
	case p.state == inChunks:
		p.left = 0
	case p.left == 0:
		p.finish()
	case p.left > 0:
		p.state = inLength
	default:
		p.Close = true
	}
	return nil
}

var crlf = []byte("\r\n")

func (p *Parser) header(line []byte) error {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return fmt.Errorf("%w: header %.40q", ErrMalformed, line)
	}
	value := func() []byte { return bytes.TrimSpace(line[i+1:]) }
	switch name := line[:i]; len(name) {
	case 14:
		if fold(name, "content-length") {
			n, ok := decimal(value())
			if !ok {
				return fmt.Errorf("%w: %.60q", ErrMalformed, line)
			}
			p.left = n
		}
	case 17:
		if fold(name, "transfer-encoding") && fold(value(), "chunked") {
			p.state = inChunks
		}
	case 10:
		if fold(name, "connection") {
			p.Close = fold(value(), "close") || p.Close && !fold(value(), "keep-alive")
		}
	}
	return nil
}

// fold compares without regard to case; want is in small letters.
func fold(b []byte, want string) bool {
	if len(b) != len(want) {
		return false
	}
	for i, c := range b {
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

func decimal(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<50 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}
