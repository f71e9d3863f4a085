package pcre

import (
	"sort"
	"strings"
)

// group reads what begins with (.
func (p *parser) group() (*node, bool) {
	open := p.pos
	p.pos++
	if p.peekByte(0) == '*' && (isUpper(p.peekByte(1)) || p.peekByte(1) == ':') {
		return p.verbs(), false
	}
	if !p.has("?") {
		return p.capture(""), true
	}
	at := p.pos
	if !p.more() {
		p.fail("unrecognized character after (? or (?-", at)
	}
	switch c := p.src[p.pos]; c {
	case '#':
		end := strings.IndexByte(p.src[p.pos:], ')')
		if end < 0 {
			p.fail("missing ) after comment", len(p.src))
		}
		p.pos += end + 1
		return nil, true
	case ':':
		p.pos++
		return &node{op: opGroup, subs: []*node{p.closed()}}, true
	case '>':
		p.pos++
		return &node{op: opAtomic, subs: []*node{p.closed()}}, true
	case '|':
		p.pos++
		return &node{op: opGroup, subs: []*node{p.branchReset()}}, true
	case '=', '!':
		p.pos++
		return p.look(false, c == '!'), true
	case '<':
		switch p.peekByte(1) {
		case '=', '!':
			p.pos += 2
			return p.look(true, p.src[p.pos-1] == '!'), true
		}
		p.pos++
		if !p.more() || !isWord(p.src[p.pos]) {
			p.fail("unrecognized character after (?<", p.pos)
		}
		return p.capture(p.name('>')), true
	case '\'':
		p.pos++
		return p.capture(p.name('\'')), true
	case 'P':
		p.pos++
		switch {
		case p.has("<"):
			return p.capture(p.name('>')), true
		case p.has("="):
			return p.backrefName(p.name(')')), true
		case p.has(">"):
			return p.callName(p.name(')')), true
		}
		p.fail("unrecognized character after (?P", p.pos)
	case '&':
		p.pos++
		return p.callName(p.name(')')), true
	case 'R':
		p.pos++
		if !p.has(")") {
			p.fail("(?R or (?[+-]digits must be followed by )", p.pos)
		}
		return p.call(0), true
	case '(':
		return p.condition(), true
	case 'C':
		p.pos++
		for p.more() && isDigit(p.src[p.pos]) {
			p.pos++
		}
		if !p.has(")") {
			p.fail("closing ) for (?C expected", p.pos)
		}
		return nil, false
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+':
		return p.callUntil(')'), true
	case '-':
		if isDigit(p.peekByte(1)) {
			return p.callUntil(')'), true
		}
	}
	return p.options(open)
}

// closed reads a group's inside and its ).
func (p *parser) closed() *node {
	n := p.alternation()
	if !p.has(")") {
		p.fail("missing )", p.pos)
	}
	return n
}

func (p *parser) capture(name string) *node {
	p.ncap++
	if p.ncap > maxCaptures {
		p.fail("regular expression is too large", p.pos)
	}
	n := p.ncap
	if name != "" {
		p.addName(name, n)
	}
	return &node{op: opCapture, n: n, subs: []*node{p.closed()}}
}

func (p *parser) addName(name string, n int) {
	for _, g := range p.names {
		if g.n == n && g.name != name {
			p.fail("different names for subpatterns of the same number are not allowed", p.pos)
		}
		if g.name == name && g.n == n {
			return
		}
		if g.name == name && !p.syn.dup {
			p.fail("two named subpatterns have the same name", p.pos-1)
		}
	}
	if len(p.names) >= maxNames {
		p.fail("too many named subpatterns (maximum 10000)", p.pos)
	}
	p.names = append(p.names, groupName{name, n})
	sort.SliceStable(p.names, func(i, j int) bool { return p.names[i].name < p.names[j].name })
}

// name reads up to the terminator, and eats that too.
func (p *parser) name(term byte) string {
	start := p.pos
	if isDigit(p.peekByte(0)) {
		p.fail("group name must start with a non-digit", p.pos)
	}
	for p.more() && isWord(p.src[p.pos]) {
		p.pos++
	}
	name := p.src[start:p.pos]
	if p.peekByte(0) != term || !p.more() {
		if name == "" {
			p.fail("subpattern name expected", p.pos)
		}
		p.fail("syntax error in subpattern name (missing terminator)", p.pos)
	}
	if name == "" {
		p.fail("subpattern name expected", p.pos)
	}
	if len(name) > maxNameLen {
		p.fail("subpattern name is too long (maximum 32 characters)", p.pos)
	}
	p.pos++
	return name
}

// branchReset reads (?| where each branch numbers its captures anew.
func (p *parser) branchReset() *node {
	p.depth++
	if p.depth > maxDepth {
		p.fail("parentheses are too deeply nested", p.pos)
	}
	syn := p.syn
	first, most := p.ncap, p.ncap
	var alts []*node
	for {
		p.ncap = first
		alts = append(alts, p.sequence())
		most = max(most, p.ncap)
		if !p.has("|") {
			break
		}
	}
	p.ncap = most
	p.syn = syn
	p.depth--
	if !p.has(")") {
		p.fail("missing )", p.pos)
	}
	return &node{op: opAlternate, subs: alts}
}

func (p *parser) look(behind, negate bool) *node {
	n := &node{op: opLook, behind: behind, negate: negate}
	if behind {
		n.subs = []*node{p.behind()}
		n.at = p.pos - 1
		return n
	}
	n.subs = []*node{p.closed()}
	if negate && n.subs[0].op == opEmpty {
		return &node{op: opVerb, verb: verbFail}
	}
	return n
}

// behind reads the inside of a lookbehind; each branch has a width of its own.
func (p *parser) behind() *node {
	p.depth++
	if p.depth > maxDepth {
		p.fail("parentheses are too deeply nested", p.pos)
	}
	syn := p.syn
	var alts []*node
	for {
		alt := p.sequence()
		p.width(alt, p.pos)
		alts = append(alts, alt)
		if !p.has("|") {
			break
		}
	}
	p.syn = syn
	p.depth--
	if !p.has(")") {
		p.fail("missing )", p.pos)
	}
	if len(alts) == 1 {
		return alts[0]
	}
	return &node{op: opAlternate, subs: alts}
}

// options reads (?imsxUJX-imsx) or the head of (?i:...).
func (p *parser) options(open int) (*node, bool) {
	on := true
	syn := p.syn
	for {
		if !p.more() {
			p.fail("unrecognized character after (? or (?-", p.pos)
		}
		c := p.src[p.pos]
		p.pos++
		switch c {
		case '-':
			on = false
		case 'i':
			syn.fold = on
		case 'm':
			syn.multi = on
		case 's':
			syn.dotall = on
		case 'x':
			syn.extended = on
		case 'U':
			syn.ungreedy = on
		case 'J':
			syn.dup = on
		case 'X':
		case ')':
			// Holds until the end of the enclosing group.
			p.syn = syn
			return nil, false
		case ':':
			saved := p.syn
			p.syn = syn
			n := &node{op: opGroup, subs: []*node{p.closed()}}
			p.syn = saved
			return n, true
		default:
			p.fail("unrecognized character after (? or (?-", p.pos-1)
		}
	}
}
