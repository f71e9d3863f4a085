package pcre

import (
	"strings"
	"unicode"
)

// escape reads what begins with a backslash outside a class.
func (p *parser) escape() (*node, bool) {
	start := p.pos
	p.pos++
	if !p.more() {
		p.fail(`\ at end of pattern`, p.pos)
	}
	c := p.src[p.pos]
	place := func(k assertKind) (*node, bool) {
		p.pos++
		return &node{op: opAssert, assert: k}, false
	}
	class := func(fill func(*set)) (*node, bool) {
		p.pos++
		return &node{op: opClass, set: p.newSet(fill)}, true
	}
	switch c {
	case 'A':
		return place(assertBOL)
	case 'Z':
		return place(assertEOL)
	case 'z':
		return place(assertEOT)
	case 'G':
		return place(assertStart)
	case 'b':
		return place(assertWord)
	case 'B':
		return place(assertNotWord)
	case 'K':
		p.pos++
		return &node{op: opKeep}, false
	case 'd', 'D':
		return class(func(s *set) { p.addDigit(s, c == 'D') })
	case 's', 'S':
		return class(func(s *set) { p.addSpace(s, c == 'S') })
	case 'w', 'W':
		return class(func(s *set) { p.addWord(s, c == 'W') })
	case 'h', 'H':
		return class(func(s *set) { s.addPairs(hspace, c == 'H') })
	case 'v', 'V':
		return class(func(s *set) { s.addPairs(vspace, c == 'V') })
	case 'p', 'P':
		in, negate := p.property()
		return &node{op: opClass, set: p.newSet(func(s *set) { s.addTable(in, negate) })}, true
	case 'N':
		if p.peekByte(1) == '{' && !p.isQuantifierAt(p.pos+1) {
			p.fail(`PCRE does not support \L, \l, \N{name}, \U, or \u`, p.pos+1)
		}
		p.pos++
		return &node{op: opAny}, true
	case 'C':
		p.pos++
		return &node{op: opByte}, true
	case 'R':
		p.pos++
		return p.newlineSequence(), true
	case 'X':
		p.pos++
		return p.grapheme(), true
	case 'Q':
		p.pos++
		return p.quoted()
	case 'E':
		p.pos++
		return nil, true
	case 'g':
		return p.escapeG()
	case 'k':
		return p.escapeK()
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if n := p.backrefNumber(); n != nil {
			return n, true
		}
	}
	p.pos = start + 1
	return p.literal(p.escapedChar(false)), true
}

func (p *parser) isQuantifierAt(at int) bool {
	saved := p.pos
	defer func() { p.pos = saved }()
	p.pos = at
	_, _, ok := p.quantifier()
	return ok
}

// backrefNumber reads \1 to \99...; a number that is too high and not single
// is octal, and then the answer is nil.
func (p *parser) backrefNumber() *node {
	start, n := p.pos, 0
	for p.more() && isDigit(p.src[p.pos]) {
		n = n*10 + int(p.src[p.pos]-'0')
		if n > 1<<24 {
			p.fail("number is too big", p.pos)
		}
		p.pos++
	}
	if n < 10 || p.src[start] >= '8' || n <= p.ncap {
		return p.backref(n)
	}
	p.pos = start
	return nil
}

func (p *parser) backref(n int) *node {
	ref := &node{op: opBackref, n: n, fold: p.syn.fold, at: p.pos}
	p.refs = append(p.refs, ref)
	return ref
}

func (p *parser) backrefName(name string) *node {
	ref := p.backref(0)
	ref.name = name
	return ref
}

// escapeG reads \g1, \g{-1}, \g{name} (backreferences), \g<1>, \g'name' (calls).
func (p *parser) escapeG() (*node, bool) {
	p.pos++
	const bad = `\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number`
	c := p.peekByte(0)
	if c == '<' || c == '\'' {
		term := byte('>')
		if c == '\'' {
			term = '\''
		}
		p.pos++
		return p.callUntil(term), true
	}
	braced := c == '{'
	at := p.pos
	if braced {
		p.pos++
		if d := p.peekByte(0); !isDigit(d) && d != '-' {
			name := p.name('}')
			ref := p.backrefName(name)
			ref.at--
			return ref, true
		}
	}
	negative := p.has("-")
	digits, n := p.pos, 0
	for p.more() && isDigit(p.src[p.pos]) {
		n = n*10 + int(p.src[p.pos]-'0')
		if n > 1<<24 {
			p.fail("number is too big", p.pos)
		}
		p.pos++
	}
	if p.pos == digits {
		p.fail(bad, at)
	}
	if braced && !p.has("}") {
		p.fail(bad, p.pos)
	}
	if n == 0 {
		p.fail("a numbered reference must not be zero", p.pos)
	}
	if negative {
		if n > p.ncap {
			p.fail("reference to non-existent subpattern", p.pos-1)
		}
		n = p.ncap - n + 1
	}
	return p.backref(n), true
}

// escapeK reads \k{name}, \k<name>, \k'name'.
func (p *parser) escapeK() (*node, bool) {
	p.pos++
	var term byte
	switch p.peekByte(0) {
	case '{':
		term = '}'
	case '<':
		term = '>'
	case '\'':
		term = '\''
	default:
		p.fail(`\k is not followed by a braced, angle-bracketed, or quoted name`, p.pos)
	}
	p.pos++
	ref := p.backrefName(p.name(term))
	ref.at--
	return ref, true
}

// escapedChar reads an escape that stands for one character; pos is after
// the backslash.
func (p *parser) escapedChar(inClass bool) rune {
	if b := p.src[p.pos]; b >= 0x80 || !isAlpha(b) && !isDigit(b) {
		return p.next()
	}
	c := p.src[p.pos]
	p.pos++
	switch c {
	case 'a':
		return '\a'
	case 'e':
		return 0x1b
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return p.octal(rune(c-'0'), 2)
	case '8', '9':
		return rune(c)
	case 'o':
		return p.bracedNumber(8)
	case 'x':
		return p.hex()
	case 'c':
		if !p.more() {
			p.fail(`\c at end of pattern`, p.pos)
		}
		d := p.src[p.pos]
		if d >= 0x80 {
			p.fail(`\c must be followed by an ASCII character`, p.pos)
		}
		p.pos++
		if isLower(d) {
			d -= 32
		}
		return rune(d ^ 0x40)
	case 'u':
		if p.js {
			return p.jsHex(4, 'u')
		}
		p.fail(`PCRE does not support \L, \l, \N{name}, \U, or \u`, p.pos)
	case 'U':
		if p.js {
			return 'U'
		}
		p.fail(`PCRE does not support \L, \l, \N{name}, \U, or \u`, p.pos)
	case 'L', 'l':
		p.fail(`PCRE does not support \L, \l, \N{name}, \U, or \u`, p.pos)
	}
	if inClass && strings.IndexByte("gkAGKQZzC", c) >= 0 {
		return rune(c)
	}
	if inClass && (c == 'X' || c == 'B' || c == 'R') {
		p.fail("invalid escape sequence in character class", p.pos)
	}
	p.fail(`unrecognized character follows \`, p.pos-1)
	return 0
}

func (p *parser) octal(r rune, more int) rune {
	for ; more > 0 && p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '7'; more-- {
		r = r*8 + rune(p.src[p.pos]-'0')
		p.pos++
	}
	if r > 0xff && !p.utf {
		p.fail(`octal value is greater than \377 in 8-bit non-UTF-8 mode`, p.pos)
	}
	return r
}

func hexValue(b byte) rune {
	switch {
	case isDigit(b):
		return rune(b - '0')
	case b >= 'a':
		return rune(b - 'a' + 10)
	}
	return rune(b - 'A' + 10)
}

func (p *parser) hex() rune {
	if p.js {
		return p.jsHex(2, 'x')
	}
	if p.peekByte(0) == '{' {
		return p.bracedNumber(16)
	}
	r := rune(0)
	for i := 0; i < 2 && p.more() && isHexDigit(p.src[p.pos]); i++ {
		r = r*16 + hexValue(p.src[p.pos])
		p.pos++
	}
	return r
}

// jsHex reads exactly n digits, or takes the letter for itself.
func (p *parser) jsHex(n int, letter rune) rune {
	r := rune(0)
	for i := range n {
		if !isHexDigit(p.peekByte(i)) {
			return letter
		}
		r = r*16 + hexValue(p.peekByte(i))
	}
	p.pos += n
	if letter == 'u' {
		p.checkChar(r, `character value in \u.... sequence is too large`)
	}
	return r
}

func (p *parser) checkChar(r rune, msg string) {
	switch {
	case !p.utf && r > 0xff || r > unicode.MaxRune:
		p.fail(msg, p.pos)
	case p.utf && r >= 0xd800 && r <= 0xdfff:
		p.fail("disallowed Unicode code point (>= 0xd800 && <= 0xdfff)", p.pos)
	}
}

// bracedNumber reads {digits} after \x or \o.
func (p *parser) bracedNumber(base rune) rune {
	letter, kind := "x", "hex"
	if base == 8 {
		letter, kind = "o", "octal"
		if p.peekByte(0) != '{' {
			p.fail(`missing opening brace after \o`, p.pos)
		}
	}
	p.pos++
	if p.peekByte(0) == '}' {
		p.fail(`digits missing in \x{} or \o{}`, p.pos)
	}
	r := rune(0)
	for p.more() && isHexDigit(p.src[p.pos]) && hexValue(p.src[p.pos]) < base {
		r = r*base + hexValue(p.src[p.pos])
		p.pos++
		p.checkChar(min(r, unicode.MaxRune+1), `character value in \x{} or \o{} is too large`)
	}
	if !p.has("}") {
		p.fail("non-"+kind+` character in \`+letter+"{} (closing brace missing?)", p.pos)
	}
	return r
}

// property reads \p{Name}, \p{^Name}, \pL; pos is at the p.
func (p *parser) property() (in func(rune) bool, negate bool) {
	negate = p.src[p.pos] == 'P'
	p.pos++
	if !p.more() {
		p.fail(`malformed \P or \p sequence`, p.pos)
	}
	name := p.src[p.pos : p.pos+1]
	if name == "{" {
		end := strings.IndexByte(p.src[p.pos:], '}')
		if end < 0 {
			p.fail(`malformed \P or \p sequence`, len(p.src))
		}
		name = p.src[p.pos+1 : p.pos+end]
		p.pos += end
		if strings.HasPrefix(name, "^") {
			negate = !negate
			name = name[1:]
		}
	}
	p.pos++
	in = property(name)
	if in == nil {
		p.fail(`unknown property name after \P or \p`, p.pos)
	}
	return in, negate
}

// quoted begins \Q...\E; sequence reads what is inside.
func (p *parser) quoted() (*node, bool) {
	p.quoteEnd = len(p.src)
	if end := strings.Index(p.src[p.pos:], `\E`); end >= 0 {
		p.quoteEnd = p.pos + end
	}
	return nil, true
}

// newlineSequence is \R.
func (p *parser) newlineSequence() *node {
	single := p.newSet(func(s *set) { s.addPairs(vspace, false) })
	return &node{op: opAtomic, subs: []*node{{op: opAlternate, subs: []*node{
		{op: opConcat, subs: []*node{{op: opLiteral, r: '\r'}, {op: opLiteral, r: '\n'}}},
		{op: opClass, set: single},
	}}}}
}

// grapheme is \X: a character and the marks on it (without the rules for
// Hangul and emoji).
func (p *parser) grapheme() *node {
	mark := p.newSet(func(s *set) { s.addTable(unicode.IsMark, false) })
	return &node{op: opAtomic, subs: []*node{{op: opAlternate, subs: []*node{
		{op: opConcat, subs: []*node{{op: opLiteral, r: '\r'}, {op: opLiteral, r: '\n'}}},
		{op: opConcat, subs: []*node{{op: opAnyAll},
			{op: opRepeat, min: 0, max: unlimited, mode: possessive, subs: []*node{{op: opClass, set: mark}}}}},
	}}}}
}
