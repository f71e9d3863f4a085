package socket

import (
	"io"
	"math"

	"sluice/lua/vm"
)

// readMode is what receive reads.
type readMode uint8

const (
	readLine readMode = iota
	readAll
	readSize
	readAny
)

// collected grows with what came, and tells the budget.
type collected struct {
	t    *vm.Thread
	data []byte
	next int // length at which it is charged again
}

// chargeFirst is when input is charged for the first time; then each time it
// has doubled, always the whole of it, because the machine cannot see it yet
// when it counts what the script holds.
const chargeFirst = 16 << 10

func (c *collected) account() {
	if n := len(c.data); n >= max(c.next, chargeFirst) {
		c.t.State().Charge(c.t, int64(n))
		c.next = 2 * n
	}
}

func (c *collected) push() int {
	c.t.PushString(string(c.data))
	return 1
}

// receivable checks what receive and receiveany have in common; ok is false
// when the answers are pushed already.
func receivable(t *vm.Thread) (s *sock, answers int, ok bool) {
	s = sockOf(t)
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, true, false)
		return s, 2, false
	}
	if s.conn == nil || s.readClosed {
		return s, s.gone(t, "receive"), false
	}
	s.own(t)
	if s.busy(t, true, false) {
		return s, 2, false
	}
	return s, 0, true
}

func receive(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 arguments (including the object), but got %d", n)
	}
	s, answers, ok := receivable(t)
	if !ok {
		return answers
	}
	mode, size := readLine, 0
	if n == 2 {
		mode, size = receivePattern(t)
		if mode == readSize && size == 0 {
			t.PushString("")
			return 1
		}
	}
	return s.receive(t, mode, size)
}

// receivePattern reads the argument of receive.
func receivePattern(t *vm.Thread) (readMode, int) {
	v := t.Arg(2)
	if f, ok := v.ToNumber(); ok {
		if f < 0 || f != f {
			t.ArgError(2, "bad number argument")
		}
		return readSize, int(min(f, math.MaxInt32))
	}
	p, ok := v.AsString()
	switch {
	case !ok:
		t.ArgError(2, "bad argument")
	case p == "*l":
		return readLine, 0
	case p == "*a":
		return readAll, 0
	case len(p) == 2 && p[0] == '*':
		t.ArgError(2, "bad pattern argument")
	}
	t.ArgError(2, "bad pattern argument: "+p)
	return 0, 0
}

func receiveAny(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("expecting 2 arguments (including the object), but got %d", n)
	}
	s, answers, ok := receivable(t)
	if !ok {
		return answers
	}
	f, isNumber := t.Arg(2).ToNumber()
	if !isNumber || !(f >= 1) {
		t.ArgError(2, "bad max argument")
	}
	return s.receive(t, readAny, int(min(f, math.MaxInt32)))
}

// receive reads until mode is content.
func (s *sock) receive(t *vm.Thread, mode readMode, size int) int {
	got := &collected{t: t}
	s.got = got
	defer func() { s.got = nil }()
	for {
		n, done := take(mode, size, s.buf[s.r:s.w], got)
		s.r += n
		got.account()
		if done {
			return got.push()
		}
		if err := s.fill(t); err != nil {
			if err == io.EOF && mode == readAll {
				return got.push()
			}
			return s.readError(t, err, got.data)
		}
	}
}

// take moves what it wants from b to got and says how much that was.
func take(mode readMode, size int, b []byte, got *collected) (n int, done bool) {
	switch mode {
	case readLine:
		for i, c := range b {
			switch c {
			case '\n':
				return i + 1, true
			case '\r':
			default:
				got.data = append(got.data, c)
			}
		}
		return len(b), false
	case readSize:
		n = min(len(b), size-len(got.data))
		got.data = append(got.data, b[:n]...)
		return n, len(got.data) == size
	case readAny:
		n = min(len(b), size)
		got.data = append(got.data, b[:n]...)
		return n, n > 0
	}
	got.data = append(got.data, b...)
	return len(b), false
}

// receiveUntil makes an iterator over what comes before a pattern.
func receiveUntil(t *vm.Thread) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		t.Errorf("expecting 2 or 3 arguments (including the object), but got %d", n)
	}
	inclusive := false
	if n == 3 {
		switch v := t.Index(t.CheckTable(3).Value(), vm.String("inclusive")); v.Type() {
		case vm.TypeNil:
		case vm.TypeBoolean:
			inclusive = v.Truthy()
		default:
			t.Errorf(`bad "inclusive" option value type: %s`, v.Type())
		}
	}
	s := sockOf(t)
	pattern := t.CheckString(2)
	if pattern == "" {
		return no(t, errNoPattern)
	}
	u := newUntil(pattern, inclusive)
	t.Push(vm.NewFunc("receiveuntil_iterator", func(t *vm.Thread) int { return s.nextUntil(t, u) }))
	return 1
}

func (s *sock) nextUntil(t *vm.Thread, u *until) int {
	if n := t.NArgs(); n > 1 {
		t.Errorf("expecting 0 or 1 argument, but seen %d", n)
	}
	size := 0
	if t.NArgs() == 1 {
		size = max(0, int(min(t.CheckNumber(1), math.MaxInt32)))
	}
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, true, false)
		return 2
	}
	if s.conn == nil || s.readClosed {
		return no(t, errClosed)
	}
	s.own(t)
	if s.busy(t, true, false) {
		return 2
	}
	if u.state < 0 {
		u.state = 0
		t.PushNil()
		t.PushNil()
		t.PushNil()
		return 3
	}
	got := &collected{t: t}
	s.got = got
	defer func() { s.got = nil }()
	rest := size
	for {
		n, data, done, _ := u.feed(s.buf[s.r:s.w], got.data, &rest)
		got.data = data
		s.r += n
		got.account()
		if done {
			return got.push()
		}
		if err := s.fill(t); err != nil {
			return s.readError(t, err, got.data)
		}
	}
}
