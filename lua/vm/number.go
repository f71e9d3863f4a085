package vm

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
func isDigit(c byte) bool { return c-'0' < 10 }
func isAlpha(c byte) bool { return c|0x20-'a' < 26 }
func isHex(c byte) bool   { return isDigit(c) || c|0x20-'a' < 6 }
func isIdent(c byte) bool { return isDigit(c) || isAlpha(c) || c == '_' || c >= 0x80 }

func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// parseNumber reads a whole string as a number, the way LuaJIT does: decimal,
// 0x with fraction and binary exponent, 0b, inf and nan; spaces around.
func parseNumber(s string) (float64, bool) {
	s = trimSpace(s)
	if s == "" {
		return 0, false
	}
	neg := false
	switch s[0] {
	case '-':
		neg = true
		fallthrough
	case '+':
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	f, ok := parseUnsigned(s)
	if neg {
		f = -f
	}
	if f != f {
		f = nanNum
	}
	return f, ok
}

func parseUnsigned(s string) (float64, bool) {
	if len(s) < 16 { // a short run of digits
		n := int64(0)
		for i := 0; ; i++ {
			if i == len(s) {
				return float64(n), true
			}
			d := s[i] - '0'
			if d > 9 {
				break
			}
			n = n*10 + int64(d)
		}
	}
	if s[0]|0x20 >= 'a' {
		switch strings.ToLower(s) {
		case "inf", "infinity":
			return math.Inf(1), true
		case "nan":
			return nanNum, true
		}
		return 0, false
	}
	if len(s) > 2 && s[0] == '0' {
		switch s[1] | 0x20 {
		case 'x':
			return parseHex(s[2:])
		case 'b':
			return parseBinary(s[2:])
		}
	}
	digits := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isDigit(c):
			digits = true
		case c == '.':
		case c|0x20 == 'e' && digits:
		case (c == '+' || c == '-') && i > 0 && s[i-1]|0x20 == 'e':
		default:
			return 0, false
		}
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && !sensibleExponent(s[i+1:]) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) && f != 0 {
		return 0, false
	}
	if err != nil && err.(*strconv.NumError).Err != strconv.ErrRange {
		return 0, false
	}
	return f, true
}

// sensibleExponent refuses what LuaJIT does: 2^20 and more.
func sensibleExponent(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n < 1<<20 && n > -1<<20
}

func parseBinary(s string) (float64, bool) {
	if len(s) == 0 || strings.Trim(s, "01") != "" {
		return 0, false
	}
	f := 0.0
	for i := 0; i < len(s); i++ {
		f = f*2 + float64(s[i]-'0')
	}
	return f, len(strings.TrimLeft(s, "0")) <= 64
}

func parseHex(s string) (float64, bool) {
	i, digits, exp := 0, 0, 0
	var x uint64
	seenDot := false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !seenDot {
			seenDot = true
			continue
		}
		if !isHex(c) {
			break
		}
		digits++
		d := uint64(c & 15)
		if c > '9' {
			d += 9
		}
		if x>>58 == 0 {
			x = x<<4 | d
			if seenDot {
				exp -= 4
			}
		} else { // sticky bit for rounding
			if d != 0 {
				x |= 1
			}
			if !seenDot {
				exp += 4
			}
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(s) {
		if s[i]|0x20 != 'p' {
			return 0, false
		}
		e := s[i+1:]
		if e == "" || strings.ContainsAny(e, "_xXoObB") {
			return 0, false
		}
		if !sensibleExponent(e) {
			return 0, false
		}
		n, _ := strconv.Atoi(e)
		exp += n
	}
	return math.Ldexp(float64(x), exp), true
}

// formatNumber writes a number as "%.14g".
func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e14 && (f != 0 || !math.Signbit(f)) {
		if n := int(f); uint(n) < uint(len(smallInts)) {
			return smallInts[n]
		}
		return strconv.FormatInt(int64(f), 10)
	}
	var buf [32]byte
	return string(appendNumber(buf[:0], f))
}

func appendNumber(b []byte, f float64) []byte {
	switch {
	case f != f:
		return append(b, "nan"...)
	case f > math.MaxFloat64:
		return append(b, "inf"...)
	case f < -math.MaxFloat64:
		return append(b, "-inf"...)
	case f == math.Trunc(f) && math.Abs(f) < 1e14 && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(b, int64(f), 10)
	}
	// Most numbers are short; only the others have to be rounded to 14 digits.
	var buf [32]byte
	short := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	digits := len(short) - 5 // "d.ddde+xx"
	if short[0] == '-' {
		digits--
	}
	if digits > 13 {
		if s, ok := tieUp(buf[:0], f, 'e', 13); ok {
			return appendG(b, s, 14, false)
		}
	}
	return strconv.AppendFloat(b, f, 'g', 14, 64)
}

// tieUp formats f if it lies exactly between two results: strconv rounds such a half to
// even, LuaJIT away from zero. ok is false for all other f.
func tieUp(b []byte, f float64, format byte, prec int) (s []byte, ok bool) {
	s = strconv.AppendFloat(b, f, format, prec+1, 64)
	mantissa := func() int { // the end of its digits
		for i, c := range s {
			if c == 'e' {
				return i
			}
		}
		return len(s)
	}
	last := mantissa() - 1
	if s[last] != '5' {
		return nil, false
	}
	// Exact when far more digits are zero; by the size of numerators no nonzero digit can hide behind them.
	s = strconv.AppendFloat(s[:0], f, format, 2*prec+26, 64)
	end := mantissa()
	for _, c := range s[last+1 : end] {
		if c != '0' {
			return nil, false
		}
	}
	tail := string(s[end:])
	s = s[:last]
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	for i := len(s) - 1; ; i-- {
		if i < 0 || s[i] == '-' { // all nines
			s = append(s, 0)
			copy(s[i+2:], s[i+1:])
			s[i+1] = '1'
			if format == 'e' {
				exp, _ := strconv.Atoi(tail[1:])
				tail = fmt.Sprintf("e%+03d", exp+1)
				if s = s[:len(s)-1]; prec > 0 {
					s[i+2], s[i+3] = '.', '0'
				}
			}
			break
		}
		if s[i] == '.' {
			continue
		}
		if s[i] < '9' {
			s[i]++
			break
		}
		s[i] = '0'
	}
	return append(s, tail...), true
}

// appendG lays out a number written as "d.ddde+xx" the way %g does.
func appendG(b, e []byte, prec int, alt bool) []byte {
	i := bytes.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(string(e[i+1:]))
	digits := e[:i]
	if digits[0] == '-' {
		b = append(b, '-')
		digits = digits[1:]
	}
	all := append([]byte{digits[0]}, digits[min(2, len(digits)):]...)
	if !alt {
		for len(all) > 1 && all[len(all)-1] == '0' {
			all = all[:len(all)-1]
		}
	}
	point := func(n int) { // n digits before the point
		b = append(b, all[:n]...)
		if n < len(all) || alt {
			b = append(b, '.')
			b = append(b, all[n:]...)
		}
	}
	switch {
	case exp < -4 || exp >= prec:
		point(1)
		b = append(b, e[i:]...)
	case exp < 0:
		b = append(b, "0."...)
		b = append(b, strings.Repeat("0", -exp-1)...)
		b = append(b, all...)
	default:
		for len(all) < exp+1 {
			all = append(all, '0')
		}
		point(exp + 1)
	}
	return b
}

var smallInts = func() (t [256]string) {
	for i := range t {
		t[i] = strconv.Itoa(i)
	}
	return
}()
