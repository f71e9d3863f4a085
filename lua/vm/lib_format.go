package vm

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// spec is one conversion of string.format.
type spec struct {
	left, plus, zero, space, alt bool
	width                        int
	prec                         int // -1: none
	conv                         byte
}

// parseSpec reads a conversion after its %; n is its length, ok is false for an invalid one.
func parseSpec(f string) (sp spec, n int, ok bool) {
	at := func() byte {
		if n < len(f) {
			return f[n]
		}
		return 0
	}
flags:
	for ; ; n++ {
		switch at() {
		case '-':
			sp.left = true
		case '+':
			sp.plus = true
		case '0':
			sp.zero = true
		case ' ':
			sp.space = true
		case '#':
			sp.alt = true
		default:
			break flags
		}
	}
	for i := 0; i < 2 && isDigit(at()); i++ {
		sp.width = sp.width*10 + int(at()-'0')
		n++
	}
	sp.prec = -1
	if at() == '.' {
		n++
		sp.prec = 0
		for i := 0; i < 2 && isDigit(at()); i++ {
			sp.prec = sp.prec*10 + int(at()-'0')
			n++
		}
	}
	sp.conv = at()
	if sp.conv != 0 && strings.IndexByte("aAcdeEfFgGiopqsuxX", sp.conv) >= 0 {
		return sp, n + 1, true
	}
	if sp.conv >= 32 {
		n++
	}
	return sp, n, false
}

func strFormat(t *Thread) int {
	f := t.CheckString(1)
	var buf [128]byte
	out := buf[:0]
	arg, next := 1, 64<<10 // the length at which out is charged
	for {
		i := strings.IndexByte(f, '%')
		if i < 0 {
			out = append(out, f...)
			break
		}
		out = append(out, f[:i]...)
		f = f[i+1:]
		if f != "" && f[0] == '%' {
			out = append(out, '%')
			f = f[1:]
			continue
		}
		sp, n, ok := parseSpec(f)
		if !ok {
			t.callerError("invalid option '%" + f[:n] + "' to 'format'")
		}
		f = f[n:]
		arg++
		out = sp.append(t, out, arg)
		if len(out) >= next { // the whole of it: no recount sees it yet
			t.charge(int64(len(out)))
			next = 2 * len(out)
		}
	}
	t.chargeString(len(out))
	t.Push(String(string(out)))
	return 1
}

func (sp *spec) append(t *Thread, out []byte, arg int) []byte {
	v := t.CheckAny(arg)
	switch sp.conv {
	case 'd', 'i':
		f := t.CheckNumber(arg)
		k := int64(math.MinInt64)
		if f >= -9223372036854775808 && f < 9223372036854775808 {
			k = int64(f)
		}
		if k < 0 {
			return sp.integer(out, uint64(-k), '-')
		}
		switch {
		case sp.plus:
			return sp.integer(out, uint64(k), '+')
		case sp.space:
			return sp.integer(out, uint64(k), ' ')
		}
		return sp.integer(out, uint64(k), 0)
	case 'u', 'x', 'X', 'o':
		f := t.CheckNumber(arg)
		k := uint64(1) << 63
		switch {
		case f >= 9223372036854775808:
			if f -= 18446744073709551616.0; f >= -9223372036854775808 && f < 9223372036854775808 {
				k = uint64(int64(f))
			}
		case f >= -9223372036854775808:
			k = uint64(int64(f))
		}
		return sp.integer(out, k, 0)
	case 'c':
		return sp.pad(out, string([]byte{byte(t.checkInt32(arg))}))
	case 'p':
		s := "NULL"
		if v.n < minNumber && v.n&tagMask >= tagStr {
			s = "0x" + strconv.FormatUint(uint64(uintptr(v.p)), 16)
		}
		return append(out, s...)
	case 's', 'q':
		s := ""
		if mm := t.eventOf(v, evTostring); !v.isStr() && mm.n != tagNil {
			v = first(t.MustCall(mm, v))
		}
		s = t.basicString(v)
		if sp.conv == 'q' {
			return appendQuoted(out, s)
		}
		if sp.prec >= 0 && len(s) > sp.prec {
			s = s[:sp.prec]
		}
		return sp.pad(out, s)
	}
	return sp.float(out, t.CheckNumber(arg))
}

func appendN(out []byte, c byte, n int) []byte {
	for ; n > 0; n-- {
		out = append(out, c)
	}
	return out
}

func (sp *spec) pad(out []byte, s string) []byte {
	if !sp.left {
		out = appendN(out, ' ', sp.width-len(s))
	}
	out = append(out, s...)
	if sp.left {
		out = appendN(out, ' ', sp.width-len(s))
	}
	return out
}

func (sp *spec) integer(out []byte, k uint64, sign byte) []byte {
	base := 10
	switch sp.conv {
	case 'x', 'X':
		base = 16
	case 'o':
		base = 8
	}
	var buf [24]byte
	digits := strconv.AppendUint(buf[:0], k, base)
	prefix := ""
	if sign != 0 {
		prefix = singleBytes[sign]
	}
	if k == 0 {
		if sp.prec == 0 && !(base == 8 && sp.alt) {
			digits = nil
		}
	} else if sp.alt {
		switch base {
		case 16:
			prefix = "0x"
		case 8:
			digits = append([]byte{'0'}, digits...)
		}
	}
	if sp.conv == 'X' {
		prefix = strings.ToUpper(prefix)
		for i, c := range digits {
			if c >= 'a' {
				digits[i] = c - 32
			}
		}
	}
	zeros := max(sp.prec-len(digits), 0)
	fill := sp.width - zeros - len(digits) - len(prefix)
	if sp.zero && !sp.left && sp.prec < 0 {
		zeros += max(fill, 0)
		fill = 0
	}
	if !sp.left {
		out = appendN(out, ' ', fill)
	}
	out = append(out, prefix...)
	out = appendN(out, '0', zeros)
	out = append(out, digits...)
	if sp.left {
		out = appendN(out, ' ', fill)
	}
	return out
}

func (sp *spec) float(out []byte, f float64) []byte {
	upper := sp.conv < 'a'
	sign := ""
	switch {
	case f == f && math.Signbit(f):
		sign = "-"
		f = -f
	case f == f && sp.plus:
		sign = "+"
	case sp.space:
		sign = " "
	}
	var buf [400]byte
	var s []byte
	zero := sp.zero && !sp.left
	switch {
	case f != f:
		s, zero = append(buf[:0], "nan"...), false
	case math.IsInf(f, 0):
		s, zero = append(buf[:0], "inf"...), false
	default:
		s = sp.digits(buf[:0], f)
	}
	if upper {
		s = []byte(strings.ToUpper(string(s)))
	}
	fill := sp.width - len(s) - len(sign)
	if !sp.left && !zero {
		out = appendN(out, ' ', fill)
	}
	out = append(out, sign...)
	if zero {
		if len(s) > 1 && s[1]|0x20 == 'x' {
			out = append(out, s[:2]...)
			s = s[2:]
		}
		out = appendN(out, '0', fill)
	}
	out = append(out, s...)
	if sp.left {
		out = appendN(out, ' ', fill)
	}
	return out
}

// digits formats a finite number that is not negative.
func (sp *spec) digits(b []byte, f float64) []byte {
	prec := sp.prec
	switch sp.conv | 0x20 {
	case 'a':
		b = strconv.AppendFloat(b, f, 'x', prec, 64)
		s := string(b) // Go writes p+01 where C writes p+1
		if i := strings.IndexByte(s, 'p'); i >= 0 && i+3 < len(s) && s[i+2] == '0' {
			s = s[:i+2] + s[i+3:]
		}
		if i := strings.IndexByte(s, 'p'); sp.alt && !strings.Contains(s, ".") {
			s = s[:i] + "." + s[i:]
		}
		return []byte(s)
	case 'e':
		if prec < 0 {
			prec = 6
		}
		b = fixed(b, f, 'e', prec)
		if i := bytes.IndexByte(b, 'e'); sp.alt && prec == 0 {
			return []byte(string(b[:i]) + "." + string(b[i:]))
		}
		return b
	case 'f':
		if prec < 0 {
			prec = 6
		}
		b = fixed(b, f, 'f', prec)
		if sp.alt && prec == 0 {
			b = append(b, '.')
		}
		return b
	}
	if prec < 0 {
		prec = 6
	}
	prec = max(prec, 1)
	var buf [128]byte
	return appendG(b, fixed(buf[:0], f, 'e', prec-1), prec, sp.alt)
}

// fixed is strconv's e or f format with LuaJIT's rounding.
func fixed(b []byte, f float64, format byte, prec int) []byte {
	var buf [400]byte
	if s, ok := tieUp(buf[:0], f, format, prec); ok {
		return append(b, s...)
	}
	return strconv.AppendFloat(b, f, format, prec, 64)
}

func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\' || c == '\n':
			out = append(out, '\\', c)
		case c < 32 || c == 127:
			out = append(out, '\\')
			if c < 100 && i+1 < len(s) && isDigit(s[i+1]) {
				out = append(out, '0')
				if c < 10 {
					out = append(out, '0')
				}
			}
			out = strconv.AppendUint(out, uint64(c), 10)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
