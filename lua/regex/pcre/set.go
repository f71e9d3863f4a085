package pcre

import (
	"unicode"
)

// set is a class of characters: a bitmap for the first 256, ranges and
// Unicode tables beyond (only met under "u").
type set struct {
	low    [4]uint64
	ranges []rune // pairs, inclusive
	tables []setTable
	negate bool // for characters the bitmap does not hold
	fold   bool // try the other cases too (under "u" only)
}

type setTable struct {
	in     func(r rune) bool
	negate bool
}

func (s *set) addByte(b byte)      { s.low[b>>6] |= 1 << (b & 63) }
func (s *set) hasByte(b byte) bool { return s.low[b>>6]&(1<<(b&63)) != 0 }

func (s *set) addRange(lo, hi rune) {
	for r := lo; r <= hi && r < 256; r++ {
		s.addByte(byte(r))
	}
	if hi >= 256 {
		s.ranges = append(s.ranges, max(lo, 256), hi)
	}
}

func (s *set) addFunc(in func(b byte) bool, negate bool) {
	for i := range 256 {
		if in(byte(i)) != negate {
			s.addByte(byte(i))
		}
	}
}

// addTable adds a Unicode property; the low characters go to the bitmap.
func (s *set) addTable(in func(r rune) bool, negate bool) {
	for i := range rune(256) {
		if in(i) != negate {
			s.addByte(byte(i))
		}
	}
	s.tables = append(s.tables, setTable{in, negate})
}

// invert makes the set its complement; called once, at the end.
func (s *set) invert() {
	for i := range s.low {
		s.low[i] = ^s.low[i]
	}
	s.negate = true
}

// foldASCII adds the other case of every ASCII letter in the set.
func (s *set) foldASCII() {
	for b := byte('a'); b <= 'z'; b++ {
		if s.hasByte(b) || s.hasByte(b-32) {
			s.addByte(b)
			s.addByte(b - 32)
		}
	}
}

// foldUnicode adds the other cases of the low characters, and lets hasRune
// look at all cases of the high ones.
func (s *set) foldUnicode() {
	s.fold = true
	var more []rune
	for i := range rune(256) {
		for f := unicode.SimpleFold(i); f != i; f = unicode.SimpleFold(f) {
			if f < 256 && s.hasByte(byte(f)) || f >= 256 && s.hasHigh(f) {
				more = append(more, i)
			}
		}
	}
	for _, r := range more {
		s.addByte(byte(r))
	}
}

func (s *set) hasHigh(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i] <= r && r <= s.ranges[i+1] {
			return true
		}
	}
	for _, t := range s.tables {
		if t.in(r) != t.negate {
			return true
		}
	}
	return false
}

func (s *set) hasRune(r rune) bool {
	if r < 256 {
		return s.hasByte(byte(r))
	}
	in := s.hasHigh(r)
	if !in && s.fold {
		for f := unicode.SimpleFold(r); f != r && !in; f = unicode.SimpleFold(f) {
			if f < 256 {
				// The bitmap is inverted already when the set is negated.
				in = s.hasByte(byte(f)) != s.negate
			} else {
				in = s.hasHigh(f)
			}
		}
	}
	return in != s.negate
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }
func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }
func isLower(b byte) bool { return b >= 'a' && b <= 'z' }
func isAlpha(b byte) bool { return isUpper(b) || isLower(b) }
func isHexDigit(b byte) bool {
	return isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// posixClass gives the test of a [:name:] class, ASCII as in PCRE's default
// tables, or nil.
func posixClass(name string) func(byte) bool {
	switch name {
	case "alpha":
		return isAlpha
	case "lower":
		return isLower
	case "upper":
		return isUpper
	case "alnum":
		return func(b byte) bool { return isAlpha(b) || isDigit(b) }
	case "ascii":
		return func(b byte) bool { return b < 128 }
	case "blank":
		return func(b byte) bool { return b == ' ' || b == '\t' }
	case "cntrl":
		return func(b byte) bool { return b < 32 || b == 127 }
	case "digit":
		return isDigit
	case "graph":
		return func(b byte) bool { return b > 32 && b < 127 }
	case "print":
		return func(b byte) bool { return b >= 32 && b < 127 }
	case "punct":
		return func(b byte) bool { return b > 32 && b < 127 && !isAlpha(b) && !isDigit(b) }
	case "space":
		return isSpace
	case "word":
		return isWord
	case "xdigit":
		return isHexDigit
	}
	return nil
}

// Unicode's horizontal and vertical space, \h and \v.
var (
	hspace = []rune{'\t', '\t', ' ', ' ', 0xa0, 0xa0, 0x1680, 0x1680, 0x180e, 0x180e, 0x2000, 0x200a,
		0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000}
	vspace = []rune{'\n', '\r', 0x85, 0x85, 0x2028, 0x2029}
)

// addPairs adds ranges, or everything else when negate is set.
func (s *set) addPairs(pairs []rune, negate bool) {
	if !negate {
		for i := 0; i < len(pairs); i += 2 {
			s.addRange(pairs[i], pairs[i+1])
		}
		return
	}
	next := rune(0)
	for i := 0; i < len(pairs); i += 2 {
		s.addRange(next, pairs[i]-1)
		next = pairs[i+1] + 1
	}
	s.addRange(next, unicode.MaxRune)
}

// property finds a Unicode property by the name \p takes, or nil.
func property(name string) func(rune) bool {
	switch name {
	case "Any":
		return func(rune) bool { return true }
	case "L&":
		return func(r rune) bool {
			return unicode.Is(unicode.Lu, r) || unicode.Is(unicode.Ll, r) || unicode.Is(unicode.Lt, r)
		}
	case "Xan":
		return func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
	case "Xwd":
		return func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || r == '_' }
	case "Xsp", "Xps":
		return func(r rune) bool { return unicode.Is(unicode.Z, r) || r >= '\t' && r <= '\r' || r == 0x85 }
	case "C":
		return func(r rune) bool { return unicode.Is(unicode.C, r) || !assigned(r) }
	case "Cn":
		return func(r rune) bool { return !assigned(r) }
	}
	t := unicode.Categories[name]
	if t == nil {
		t = unicode.Scripts[name]
	}
	if t == nil {
		return nil
	}
	return func(r rune) bool { return unicode.Is(t, r) }
}

func assigned(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.C)
}
