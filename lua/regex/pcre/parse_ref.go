package pcre

import (
	"slices"
	"strings"
)

// call is (?n): run a group's pattern here.
func (p *parser) call(n int) *node {
	c := &node{op: opRecurse, n: n, at: p.pos - 1}
	p.refs = append(p.refs, c)
	return c
}

func (p *parser) callName(name string) *node {
	c := p.call(0)
	c.name = name
	return c
}

// callUntil reads a number, with a sign perhaps, or a name, and the terminator.
func (p *parser) callUntil(term byte) *node {
	sign := byte(0)
	if c := p.peekByte(0); c == '+' || c == '-' {
		sign = c
		p.pos++
	}
	start, n := p.pos, 0
	for p.more() && isDigit(p.src[p.pos]) {
		n = n*10 + int(p.src[p.pos]-'0')
		if n > 1<<24 {
			p.fail("number is too big", p.pos)
		}
		p.pos++
	}
	if p.pos == start {
		if sign != 0 {
			p.fail("digit expected after (?+", p.pos)
		}
		return p.callName(p.name(term))
	}
	if p.peekByte(0) != term || !p.more() {
		if term != ')' {
			p.fail(`\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number`, p.pos)
		}
		p.fail("(?R or (?[+-]digits must be followed by )", p.pos)
	}
	p.pos++
	switch {
	case sign != 0 && n == 0:
		p.fail("a numbered reference must not be zero", p.pos-1)
	case sign == '-':
		if n > p.ncap {
			p.fail("reference to non-existent subpattern", p.pos-1)
		}
		n = p.ncap - n + 1
	case sign == '+':
		n += p.ncap
	}
	return p.call(n)
}

// condition reads (?(...)yes|no); pos is at the second (.
func (p *parser) condition() *node {
	n := &node{op: opCondition, at: p.pos}
	if p.peekByte(1) == '?' {
		c := p.peekByte(2)
		if c != '=' && c != '!' && c != '<' {
			p.fail("assertion expected after (?( or (?(?C)", p.pos+2)
		}
		cond, _ := p.group()
		if cond.op == opVerb {
			cond = &node{op: opLook, negate: true, subs: []*node{{op: opEmpty}}}
		}
		if cond.op != opLook {
			p.fail("assertion expected after (?( or (?(?C)", p.pos)
		}
		n.cond = condLook
		n.subs = append(n.subs, cond)
	} else {
		p.pos++
		p.conditionHead(n)
	}
	p.conditionBody(n)
	return n
}

func (p *parser) conditionHead(n *node) {
	const malformed = "malformed number or name after (?("
	start := p.pos
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end < 0 {
		p.fail(malformed, p.pos)
	}
	word := p.src[p.pos : p.pos+end]
	p.pos += end + 1
	n.at = p.pos
	ref := func(name string) {
		if name == "" || isDigit(name[0]) || strings.IndexFunc(name, func(r rune) bool { return r > 127 || !isWord(byte(r)) }) >= 0 {
			p.fail(malformed, start)
		}
		n.name = name
		p.refs = append(p.refs, n)
	}
	number := func(s string) (int, bool) {
		v := 0
		for i := range len(s) {
			if !isDigit(s[i]) || v > 1<<24 {
				return 0, false
			}
			v = v*10 + int(s[i]-'0')
		}
		return v, s != ""
	}
	size := len(word)
	switch {
	case size >= 2 && (word[0] == '<' && word[size-1] == '>' || word[0] == '\'' && word[size-1] == '\''):
		ref(word[1 : size-1])
	case word == "DEFINE":
		n.cond = condDefine
	case word == "R" && !slices.ContainsFunc(p.names, func(g groupName) bool { return g.name == "R" }):
		n.cond, n.n = condRecurse, -1
	case strings.HasPrefix(word, "R&"):
		n.cond = condRecurse
		ref(word[2:])
	default:
		if v, ok := number(strings.TrimPrefix(word, "R")); ok && word[0] == 'R' {
			n.cond, n.n = condRecurse, v
			return
		}
		if size > 0 && (word[0] == '+' || word[0] == '-') {
			v, ok := number(word[1:])
			if !ok || v == 0 {
				p.fail(malformed, start)
			}
			if word[0] == '-' {
				v = p.ncap - v + 1
			} else {
				v += p.ncap
			}
			if v <= 0 {
				p.fail("reference to non-existent subpattern", p.pos)
			}
			n.n = v
		} else if v, ok := number(word); ok {
			if v == 0 {
				p.fail("invalid condition (?(0)", p.pos)
			}
			n.n = v
		} else {
			ref(word)
			return
		}
		p.refs = append(p.refs, n)
	}
}

func (p *parser) conditionBody(n *node) {
	body := p.closed()
	if body.op != opAlternate {
		n.subs = append(n.subs, body, &node{op: opEmpty})
		return
	}
	if n.cond == condDefine {
		p.fail("DEFINE group contains more than one branch", p.pos-1)
	}
	if len(body.subs) > 2 {
		p.fail("conditional group contains more than two branches", p.pos-1)
	}
	n.subs = append(n.subs, body.subs...)
}

// verbs reads (*FAIL) and its kin; pos is at the *.
func (p *parser) verbs() *node {
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end < 0 {
		p.fail("(*VERB) not recognized or malformed", p.pos+1)
	}
	word := p.src[p.pos+1 : p.pos+end]
	p.pos += end + 1
	word, _, _ = strings.Cut(word, ":")
	n := &node{op: opVerb}
	p.hasVerb = true
	switch word {
	case "F", "FAIL":
		n.verb = verbFail
	case "ACCEPT":
		n.verb = verbAccept
	case "COMMIT":
		n.verb = verbCommit
	case "PRUNE":
		n.verb = verbPrune
	case "SKIP":
		n.verb = verbSkip
	case "THEN":
		n.verb = verbThen
	case "MARK", "":
		return &node{op: opEmpty}
	default:
		p.fail("(*VERB) not recognized or malformed", p.pos-end)
	}
	return n
}

// resolve finds the groups that references mean.
func (p *parser) resolve() {
	for _, ref := range p.refs {
		if ref.name == "" {
			if ref.n > p.ncap {
				if ref.op == opBackref {
					ref.at = len(p.src)
				}
				p.fail("reference to non-existent subpattern", ref.at)
			}
			if ref.op == opBackref {
				ref.groups = []int{ref.n}
			}
			continue
		}
		for _, g := range p.names {
			if g.name == ref.name {
				ref.groups = append(ref.groups, g.n)
			}
		}
		if ref.groups == nil {
			p.fail("reference to non-existent subpattern", ref.at)
		}
		ref.n = ref.groups[0]
	}
}

// checkLoops refuses a call of a group from its own inside when nothing need
// be matched before. open holds the groups we are in: true while all that
// was met since their start can be empty.
func (p *parser) checkLoops(n *node, open map[int]bool) {
	switch n.op {
	case opRecurse:
		if open[n.n] {
			p.fail("recursive call could loop indefinitely", n.at)
		}
	case opConcat:
		before := open
		for _, s := range n.subs {
			p.checkLoops(s, before)
			if minLength(s, 0) > 0 {
				before = nil
			}
		}
	case opCapture:
		if open[n.n] {
			p.checkLoops(n.subs[0], open)
			return
		}
		inside := map[int]bool{n.n: true}
		for g, empty := range open {
			inside[g] = empty
		}
		p.checkLoops(n.subs[0], inside)
	default:
		for _, s := range n.subs {
			p.checkLoops(s, open)
		}
	}
}
