package resp

import (
	"fmt"
	"strconv"

	"sluice/cachesync/pipeline"
)

// Kind of a Value.
type Kind uint8

// Kinds of replies.
const (
	KindNil Kind = iota
	KindInt
	KindStatus // "OK"
	KindBulk
	KindArray
	KindError // inside an array; on its own it is Do's error
)

// Value is a reply. Bytes and Array are valid until the Cmd's next Reset or Do.
type Value struct {
	Kind  Kind
	Int   int64
	Bytes []byte // of KindStatus, KindBulk and KindError
	Array []Value
}

// String is the text of the reply; numbers as decimals.
func (v Value) String() string {
	switch v.Kind {
	case KindInt:
		return strconv.FormatInt(v.Int, 10)
	case KindArray:
		return fmt.Sprint(v.Array)
	}
	return string(v.Bytes)
}

// Append appends the reply as it travels.
func (v Value) Append(dst []byte) []byte {
	mark := func(c byte, n int64) {
		dst = append(dst, c)
		dst = append(strconv.AppendInt(dst, n, 10), '\r', '\n')
	}
	switch v.Kind {
	case KindNil:
		return append(dst, "$-1\r\n"...)
	case KindInt:
		mark(':', v.Int)
	case KindStatus, KindError:
		c := byte('+')
		if v.Kind == KindError {
			c = '-'
		}
		dst = append(append(append(dst, c), v.Bytes...), '\r', '\n')
	case KindBulk:
		mark('$', int64(len(v.Bytes)))
		dst = append(append(dst, v.Bytes...), '\r', '\n')
	case KindArray:
		mark('*', int64(len(v.Array)))
		for _, one := range v.Array {
			dst = one.Append(dst)
		}
	}
	return dst
}

// ReplyError is an error reply of Redis: "NOSCRIPT No matching script".
type ReplyError string

func (e ReplyError) Error() string { return "redis: " + string(e) }

// Code is the first word: NOSCRIPT, FENCED, MOVED, ...
func (e ReplyError) Code() string {
	for i := range len(e) {
		if e[i] == ' ' {
			return string(e[:i])
		}
	}
	return string(e)
}

// Bounds of what is believed of a server.
const (
	maxBulk  = 512 << 20
	maxArray = 1 << 20
	maxDepth = 16
)

// store is the memory of one reply, used again and again.
type store struct {
	bytes  []byte
	values []Value
}

func (s *store) reset() {
	if cap(s.bytes) > 64<<10 {
		s.bytes = nil
	}
	if cap(s.values) > 4096 {
		s.values = nil
	}
	s.bytes, s.values = s.bytes[:0], s.values[:0]
}

// read reads one reply. Growing moves the stores, but what was cut from the old
// memory stays good: nothing is changed after it is cut.
func (s *store) read(r *pipeline.Reader, v *Value, depth int) error {
	line, err := r.Line()
	if err != nil {
		return err
	}
	if len(line) == 0 || depth > maxDepth {
		return fmt.Errorf("%w: empty or too deep", pipeline.ErrProtocol)
	}
	switch line[0] {
	case '+', '-':
		v.Kind = KindStatus
		if line[0] == '-' {
			v.Kind = KindError
		}
		at := len(s.bytes)
		s.bytes = append(s.bytes, line[1:]...)
		v.Bytes = s.bytes[at:len(s.bytes):len(s.bytes)]
		return nil
	case ':':
		v.Kind = KindInt
		v.Int, err = strconv.ParseInt(string(line[1:]), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %.40q", pipeline.ErrProtocol, line)
		}
		return nil
	case '$', '*':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < -1 || n > maxBulk {
			return fmt.Errorf("%w: length %.40q", pipeline.ErrProtocol, line)
		}
		if n == -1 {
			v.Kind = KindNil
			return nil
		}
		if line[0] == '$' {
			return s.bulk(r, v, n)
		}
		return s.array(r, v, n, depth)
	}
	return fmt.Errorf("%w: %.40q", pipeline.ErrProtocol, line)
}

func (s *store) bulk(r *pipeline.Reader, v *Value, n int) error {
	v.Kind = KindBulk
	at := len(s.bytes)
	if cap(s.bytes)-at < n {
		s.bytes = make([]byte, 0, max(2*cap(s.bytes), n, 256))
		at = 0
	}
	s.bytes = s.bytes[:at+n]
	v.Bytes = s.bytes[at : at+n : at+n]
	if err := r.ReadFull(v.Bytes); err != nil {
		return err
	}
	end, err := r.Line()
	if err == nil && len(end) != 0 {
		err = fmt.Errorf("%w: bulk longer than announced", pipeline.ErrProtocol)
	}
	return err
}

func (s *store) array(r *pipeline.Reader, v *Value, n, depth int) error {
	if n > maxArray {
		return fmt.Errorf("%w: array of %d", pipeline.ErrProtocol, n)
	}
	v.Kind = KindArray
	at := len(s.values)
	if cap(s.values)-at < n {
		s.values = make([]Value, 0, max(2*cap(s.values), n, 8))
		at = 0
	}
	s.values = s.values[:at+n]
	v.Array = s.values[at : at+n : at+n]
	clear(v.Array)
	for i := range v.Array {
		if err := s.read(r, &v.Array[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}
