package wire

import (
	"bytes"
	"fmt"
)

// chunk reads a chunk's size line, or a part of its data; more means that bytes are missing.
// p.left is what is missing of the chunk's data and its CRLF.
func (p *Parser) chunk(b []byte) (rest []byte, more bool, err error) {
	if p.left > 0 {
		if data := min(int64(len(b)), p.left-2); data > 0 {
			p.store(b[:data])
			b, p.left = b[data:], p.left-data
		}
		if p.left > 2 || len(b) < 2 {
			return b, true, nil
		}
		if b[0] != '\r' || b[1] != '\n' {
			return nil, false, fmt.Errorf("%w: chunk without its end", ErrMalformed)
		}
		b, p.left = b[2:], 0
	}
	i := bytes.Index(b, crlf)
	if i < 0 {
		if len(b) > MaxHead {
			return nil, false, fmt.Errorf("%w: endless chunk line", ErrMalformed)
		}
		return b, true, nil
	}
	line := b[:i]
	b = b[i+2:]
	if p.trailer { // trailers end with an empty line
		if len(line) == 0 {
			p.finish()
		}
		return b, false, nil
	}
	size, ok := hex(line)
	if !ok {
		return nil, false, fmt.Errorf("%w: chunk size %.20q", ErrMalformed, line)
	}
	if size == 0 {
		p.trailer = true
		return b, false, nil
	}
	p.left = size + 2
	return b, false, nil
}

// hex reads a chunk size; what follows ';' is an extension and ignored.
func hex(b []byte) (n int64, ok bool) {
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimRight(b, " \t")
	for _, c := range b {
		switch {
		case c-'0' < 10:
			c -= '0'
		case c|0x20-'a' < 6:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		if n = n<<4 | int64(c); n > 1<<40 {
			return 0, false
		}
	}
	return n, len(b) > 0
}
