package vm

import (
	"strings"
	"unsafe"
)

var stringLib = library([]libFunc{
	{"byte", strByte}, {"char", strChar}, {"dump", strDump}, {"find", strFind}, {"format", strFormat}, {"gmatch", strGmatch},
	{"gsub", strGsub}, {"len", strLen}, {"lower", strLower}, {"match", strMatch}, {"rep", strRep}, {"reverse", strReverse},
	{"sub", strSub}, {"upper", strUpper},
}, nil)

// bytesString makes a string of bytes that nobody will change.
func bytesString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// singleBytes are the strings of length one.
var singleBytes = func() (t [256]string) {
	for i := range t {
		t[i] = string([]byte{byte(i)})
	}
	return
}()

func strLen(t *Thread) int {
	t.PushNumber(float64(len(t.CheckString(1))))
	return 1
}

// checkInt32 is an argument as LuaJIT's 32-bit integers: what does not fit becomes the smallest.
func (t *Thread) checkInt32(i int) int {
	f := t.CheckNumber(i)
	if f > -2147483649 && f < 2147483648 {
		return int(f)
	}
	return -2147483648
}

func (t *Thread) optInt32(i, def int) int {
	if t.Arg(i).IsNil() {
		return def
	}
	return t.checkInt32(i)
}

// span turns Lua's start and stop into offsets.
func span(n, start, stop int) (int, int) {
	if stop < 0 {
		stop += n + 1
	}
	if start < 0 {
		start += n + 1
	}
	start = max(start, 1)
	stop = min(stop, n)
	if start > stop {
		return 0, 0
	}
	return start - 1, stop
}

func strSub(t *Thread) int {
	s := t.CheckString(1)
	from, to := span(len(s), t.checkInt32(2), t.optInt32(3, -1))
	t.Push(t.Substring(s, from, to))
	return 1
}

// Substring is s[from:to] for a script. It shares the bytes of s, unless they would keep much more of s alive
// than is counted for them.
func (t *Thread) Substring(s string, from, to int) Value {
	switch n := to - from; {
	case n == 0:
		return String("")
	case n == 1:
		return String(singleBytes[s[from]])
	case n < len(s)/4 && len(s) > 64:
		t.charge(int64(n) + 16)
		return String(strings.Clone(s[from:to]))
	}
	return String(s[from:to])
}

func strByte(t *Thread) int {
	s := t.CheckString(1)
	start := t.optInt32(2, 1)
	from, to := span(len(s), start, t.optInt32(3, start))
	if to-from > maxUnpack {
		t.callerError("string slice too long")
	}
	t.ensure(t.top, to-from)
	for _, c := range []byte(s[from:to]) {
		t.Push(num(float64(c)))
	}
	return to - from
}

func strChar(t *Thread) int {
	n := t.NArgs()
	buf := make([]byte, n)
	for i := range buf {
		c := t.checkInt32(i + 1)
		if c < 0 || c > 255 {
			t.ArgError(i+1, "invalid value")
		}
		buf[i] = byte(c)
	}
	t.charge(int64(n) + 16)
	t.Push(String(bytesString(buf)))
	return 1
}

func strDump(t *Thread) int {
	t.CheckFunction(1)
	t.callerError("unable to dump given function")
	return 0
}

func strRep(t *Thread) int {
	s := t.CheckString(1)
	n := t.checkInt32(2)
	sep := t.OptString(3, "")
	if n <= 0 || len(s)+len(sep) == 0 {
		t.PushString("")
		return 1
	}
	if n == 1 {
		t.Push(String(s))
		return 1
	}
	if total := (len(s) + len(sep)) * n; total > maxString {
		t.charge(int64(total))
		t.raisePlain("not enough memory")
	} else {
		t.chargeString(total)
	}
	if sep != "" {
		t.Push(String(strings.Repeat(s+sep, n-1) + s))
	} else {
		t.Push(String(strings.Repeat(s, n)))
	}
	return 1
}

// raisePlain raises a message without a position.
func (t *Thread) raisePlain(msg string) { t.Raise(String(msg)) }

func (t *Thread) mapBytes(f func(out []byte, s string)) int {
	s := t.CheckString(1)
	t.chargeString(len(s))
	out := make([]byte, len(s))
	f(out, s)
	t.Push(String(bytesString(out)))
	return 1
}

func strReverse(t *Thread) int {
	return t.mapBytes(func(out []byte, s string) {
		for i := range len(s) {
			out[len(s)-1-i] = s[i]
		}
	})
}

func strLower(t *Thread) int {
	return t.mapBytes(func(out []byte, s string) {
		for i := range len(s) {
			c := s[i]
			if c-'A' < 26 {
				c += 32
			}
			out[i] = c
		}
	})
}

func strUpper(t *Thread) int {
	return t.mapBytes(func(out []byte, s string) {
		for i := range len(s) {
			c := s[i]
			if c-'a' < 26 {
				c -= 32
			}
			out[i] = c
		}
	})
}
