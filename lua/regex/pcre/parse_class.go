package pcre

import (
	"strings"
	"unicode"
)

// newSet fills a set and closes it under case when "i" is on.
func (p *parser) newSet(fill func(*set)) *set {
	s := &set{}
	fill(s)
	return s
}

func (p *parser) closeFold(s *set) {
	if !p.syn.fold {
		return
	}
	if p.utf {
		s.foldUnicode()
	} else {
		s.foldASCII()
	}
}

func (p *parser) addDigit(s *set, negate bool) {
	if p.ucp {
		s.addTable(unicode.IsDigit, negate)
		return
	}
	s.addFunc(isDigit, negate)
	p.addHighIf(s, negate)
}

func (p *parser) addSpace(s *set, negate bool) {
	if p.ucp {
		s.addTable(property("Xps"), negate)
		return
	}
	s.addFunc(isSpace, negate)
	p.addHighIf(s, negate)
}

func (p *parser) addWord(s *set, negate bool) {
	if p.ucp {
		s.addTable(property("Xwd"), negate)
		return
	}
	s.addFunc(isWord, negate)
	p.addHighIf(s, negate)
}

// addHighIf adds all characters from 256 on: \D, \S and \W match them.
func (p *parser) addHighIf(s *set, negate bool) {
	if negate {
		s.addRange(256, unicode.MaxRune)
	}
}

// class reads [...].
func (p *parser) class() *node {
	start := p.pos
	p.pos++
	if c := p.peekByte(0); c == ':' || c == '.' || c == '=' {
		if end := p.posixEnd(); end > 0 {
			p.fail("POSIX named classes are supported only within a class", start)
		}
	}
	negate := p.has("^")
	s := &set{}
	first := true
	if p.js && p.peekByte(0) == ']' {
		p.pos++
		// [] matches nothing, [^] anything.
		if negate {
			return &node{op: opAnyAll}
		}
		return &node{op: opVerb, verb: verbFail}
	}
	for {
		if !p.more() {
			p.fail("missing terminating ] for character class", p.pos)
		}
		if p.src[p.pos] == ']' && !first {
			p.pos++
			break
		}
		if p.has(`\E`) {
			continue
		}
		first = false
		if p.has(`\Q`) {
			end := strings.Index(p.src[p.pos:], `\E`)
			stop := len(p.src)
			if end >= 0 {
				stop = p.pos + end
			}
			for p.pos < stop {
				p.addClassChar(s, p.next())
			}
			continue
		}
		p.classItem(s)
	}
	p.closeFold(s)
	if negate {
		s.invert()
	}
	return &node{op: opClass, set: s}
}

func (p *parser) addClassChar(s *set, r rune) { s.addRange(r, r) }

// posixEnd gives where [:name:] ends, if the text at pos (just after a [) is
// such a thing.
func (p *parser) posixEnd() int {
	term := p.src[p.pos]
	for i := p.pos + 1; i+1 < len(p.src); i++ {
		switch {
		case p.src[i] == '\\' && (p.src[i+1] == ']' || p.src[i+1] == '\\'):
			i++
		case p.src[i] == '[' && p.src[i+1] == term, p.src[i] == ']':
			return 0
		case p.src[i] == term && p.src[i+1] == ']':
			return i
		}
	}
	return 0
}

// classItem reads one member: a POSIX class, an escape, a range, a character.
func (p *parser) classItem(s *set) {
	at := p.pos
	if p.src[p.pos] == '[' && (p.peekByte(1) == ':' || p.peekByte(1) == '.' || p.peekByte(1) == '=') {
		p.pos++
		if end := p.posixEnd(); end > 0 {
			p.posixItem(s, at, end)
			return
		}
		p.pos = at
	}
	lo, single := p.classChar(s)
	if !single {
		// A hyphen after \d or [:alpha:] is a hyphen, unless a range is meant.
		if p.peekByte(0) == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			p.pos++
			p.addClassChar(s, '-')
		}
		return
	}
	if p.peekByte(0) != '-' || p.pos+1 >= len(p.src) || p.src[p.pos+1] == ']' {
		p.addClassChar(s, lo)
		return
	}
	p.pos++
	if p.src[p.pos] == '[' && (p.peekByte(1) == ':' || p.peekByte(1) == '.' || p.peekByte(1) == '=') {
		p.pos++
		end := p.posixEnd()
		p.pos--
		if end > 0 {
			p.addClassChar(s, lo)
			p.addClassChar(s, '-')
			return
		}
	}
	hi, single := p.classChar(s)
	if !single {
		p.addClassChar(s, lo)
		p.addClassChar(s, '-')
		return
	}
	if hi < lo {
		p.fail("range out of order in character class", p.pos-1)
	}
	s.addRange(lo, hi)
}

func (p *parser) posixItem(s *set, at, end int) {
	if p.src[p.pos] != ':' {
		p.fail("POSIX collating elements are not supported", at)
	}
	name := p.src[p.pos+1 : end]
	negate := strings.HasPrefix(name, "^")
	name = strings.TrimPrefix(name, "^")
	in := posixClass(name)
	if in == nil {
		p.fail("unknown POSIX class name", at)
	}
	if p.syn.fold && (name == "upper" || name == "lower") {
		in = isAlpha
	}
	if prop := posixProperty[name]; p.ucp && prop != "" {
		s.addTable(property(prop), negate)
	} else {
		s.addFunc(in, negate)
		p.addHighIf(s, negate)
	}
	p.pos = end + 2
	if p.peekByte(0) == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
		p.pos++
		p.addClassChar(s, '-')
	}
}

// posixProperty gives the Unicode property of a POSIX class under (*UCP).
var posixProperty = map[string]string{
	"alpha": "L", "lower": "Ll", "upper": "Lu", "alnum": "Xan", "space": "Xps", "word": "Xwd", "digit": "Nd",
}

// classChar reads a character or an escape inside a class; single is false
// when the escape was a class of its own, which is then in s already.
func (p *parser) classChar(s *set) (r rune, single bool) {
	if p.src[p.pos] != '\\' {
		return p.next(), true
	}
	p.pos++
	if !p.more() {
		p.fail(`\ at end of pattern`, p.pos)
	}
	c := p.src[p.pos]
	switch c {
	case 'b':
		p.pos++
		return '\b', true
	case 'd', 'D':
		p.pos++
		p.addDigit(s, c == 'D')
		return 0, false
	case 's', 'S':
		p.pos++
		p.addSpace(s, c == 'S')
		return 0, false
	case 'w', 'W':
		p.pos++
		p.addWord(s, c == 'W')
		return 0, false
	case 'h', 'H':
		p.pos++
		s.addPairs(hspace, c == 'H')
		return 0, false
	case 'v', 'V':
		p.pos++
		s.addPairs(vspace, c == 'V')
		return 0, false
	case 'p', 'P':
		in, negate := p.property()
		s.addTable(in, negate)
		return 0, false
	case 'N':
		p.fail(`\N is not supported in a class`, p.pos+1)
	case 'B', 'R', 'X':
		p.fail("invalid escape sequence in character class", p.pos)
	case 'E':
		p.pos++
		return 0, false
	}
	return p.escapedChar(true), true
}
