package pipeline

import (
	"bytes"
	"fmt"
	"io"
)

const (
	readBuffer  = 64 << 10
	arenaChunk  = 16 << 10
	arenaBypass = 2 << 10 // larger values get memory of their own
)

// Reader is the reply stream of one connection.
type Reader struct {
	src    io.Reader
	buf    []byte
	pos    int
	end    int
	arena  []byte
	filled func(n int) // after each read from the network
}

func newReader(src io.Reader, filled func(int)) *Reader {
	return &Reader{src: src, buf: make([]byte, readBuffer), filled: filled}
}

// NewReader reads replies from src, for handshakes and tests.
func NewReader(src io.Reader) *Reader { return newReader(src, func(int) {}) }

func (r *Reader) fill() error {
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.end -= r.pos
		r.pos = 0
	}
	if r.end == len(r.buf) {
		return fmt.Errorf("%w: line longer than %d bytes", ErrProtocol, len(r.buf))
	}
	n, err := r.src.Read(r.buf[r.end:])
	if n > 0 {
		r.end += n
		r.filled(n)
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// await blocks until at least one byte is buffered.
func (r *Reader) await() error {
	if r.pos < r.end {
		return nil
	}
	return r.fill()
}

// Buffered is how many bytes can be had without waiting for the network.
func (r *Reader) Buffered() int { return r.end - r.pos }

// Line returns the next line without its end. It is valid until the next call.
func (r *Reader) Line() ([]byte, error) {
	seen := 0
	for {
		if i := bytes.IndexByte(r.buf[r.pos+seen:r.end], '\n'); i >= 0 {
			line := r.buf[r.pos : r.pos+seen+i]
			r.pos += seen + i + 1
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		seen = r.end - r.pos
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// Bytes returns the next n bytes in memory that stays the caller's: small ones
// are cut from chunks shared by neighbours, so whoever keeps one value for long
// should copy it, or it holds up to 16 KB.
func (r *Reader) Bytes(n int) ([]byte, error) {
	var dst []byte
	if n > arenaBypass {
		dst = make([]byte, n)
	} else {
		if len(r.arena) < n {
			r.arena = make([]byte, arenaChunk)
		}
		dst, r.arena = r.arena[:n:n], r.arena[n:]
	}
	return dst, r.ReadFull(dst)
}

// ReadFull fills dst.
func (r *Reader) ReadFull(dst []byte) error {
	n := copy(dst, r.buf[r.pos:r.end])
	r.pos += n
	for n < len(dst) {
		if len(dst)-n < len(r.buf) {
			if err := r.fill(); err != nil {
				return err
			}
			m := copy(dst[n:], r.buf[r.pos:r.end])
			r.pos += m
			n += m
			continue
		}
		m, err := r.src.Read(dst[n:])
		if m > 0 {
			r.filled(m)
			n += m
			continue
		}
		if err != nil {
			return err
		}
		return io.ErrNoProgress
	}
	return nil
}

// Discard skips n bytes.
func (r *Reader) Discard(n int) error {
	for {
		m := min(n, r.end-r.pos)
		r.pos += m
		if n -= m; n == 0 {
			return nil
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}
