package pcre

import (
	"strings"
	"unicode/utf8"
)

// syntax is what changes while a pattern is read: (?i) and its kin.
type syntax struct {
	fold, multi, dotall, extended, ungreedy, dup bool
}

type parser struct {
	src      string
	pos      int
	syn      syntax
	utf      bool
	ucp      bool
	js       bool
	ncap     int
	depth    int
	names    []groupName
	refs     []*node // to be resolved when all groups are known
	limit    int     // from (*LIMIT_MATCH=n)
	later    *CompileError
	hasVerb  bool
	quoteEnd int  // where \Q ends; 0 outside
	anyNL    bool // \R means Unicode's line ends
}

// groupName is one entry of the name table, which PCRE keeps sorted.
type groupName struct {
	name string
	n    int
}

const (
	maxDepth    = 250 // of parentheses, PCRE's parens_nest_limit
	maxNameLen  = 32
	maxNames    = 10000
	maxCaptures = 65535
)

func (p *parser) fail(msg string, at int) {
	panic(&CompileError{Msg: msg, Pattern: p.src, Offset: at})
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) peekByte(ahead int) byte {
	if p.pos+ahead < len(p.src) {
		return p.src[p.pos+ahead]
	}
	return 0
}

// has eats s if the pattern goes on with it.
func (p *parser) has(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// next eats one character.
func (p *parser) next() rune {
	if p.utf {
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		p.pos += n
		return r
	}
	b := p.src[p.pos]
	p.pos++
	return rune(b)
}

// parse reads the whole pattern.
func (p *parser) parse() *node {
	p.startOptions()
	if p.utf && !utf8.ValidString(p.src) {
		p.fail("invalid UTF-8 string", 0)
	}
	n := p.alternation()
	if p.more() {
		p.fail("unmatched parentheses", p.pos)
	}
	p.resolve()
	p.checkLoops(n, map[int]bool{0: true})
	if p.later != nil {
		panic(p.later)
	}
	return n
}

// startOptions eats (*UTF8), (*UCP), (*LIMIT_MATCH=n) and so on.
func (p *parser) startOptions() {
	for {
		switch {
		case p.has("(*UTF8)"), p.has("(*UTF)"):
			p.utf = true
		case p.has("(*UCP)"):
			p.ucp = true
		case p.has("(*NO_START_OPT)"), p.has("(*NO_AUTO_POSSESS)"), p.has("(*LF)"), p.has("(*BSR_UNICODE)"):
		case p.has("(*BSR_ANYCRLF)"):
			p.anyNL = false
		case strings.HasPrefix(p.src[p.pos:], "(*LIMIT_MATCH="):
			end := strings.IndexByte(p.src[p.pos:], ')')
			n := 0
			for i := p.pos + len("(*LIMIT_MATCH="); end > 0 && i < p.pos+end && isDigit(p.src[i]) && n < 1<<27; i++ {
				n = n*10 + int(p.src[i]-'0')
			}
			if end < 0 || n == 0 {
				return
			}
			p.limit = n
			p.pos += end + 1
		default:
			return
		}
	}
}

// alternation reads up to the ) of its group, or the end.
func (p *parser) alternation() *node {
	p.depth++
	if p.depth > maxDepth {
		p.fail("parentheses are too deeply nested", p.pos)
	}
	start := p.syn
	alts := []*node{p.sequence()}
	for p.more() && p.src[p.pos] == '|' {
		p.pos++
		alts = append(alts, p.sequence())
	}
	p.syn = start
	p.depth--
	if len(alts) == 1 {
		return alts[0]
	}
	return &node{op: opAlternate, subs: alts}
}

// sequence reads one branch.
func (p *parser) sequence() *node {
	seq := &node{op: opConcat}
	repeatable := false
	for p.more() || p.quoteEnd > 0 {
		if p.quoteEnd > 0 {
			if p.pos >= p.quoteEnd {
				p.has(`\E`)
				p.quoteEnd = 0
				continue
			}
			seq.subs = append(seq.subs, p.literal(p.next()))
			repeatable = true
			continue
		}
		if p.syn.extended && p.skipSpace() {
			continue
		}
		switch p.src[p.pos] {
		case '|', ')':
			return seq.simplify()
		case '*', '+', '?', '{':
			lo, hi, ok := p.quantifier()
			if !ok {
				break
			}
			if !repeatable {
				p.fail("nothing to repeat", p.pos-1)
			}
			last := len(seq.subs) - 1
			seq.subs[last] = p.repeat(seq.subs[last], lo, hi)
			repeatable = false
			continue
		}
		n, rep := p.atom()
		if n == nil {
			if !rep {
				repeatable = false
			}
			continue
		}
		seq.subs = append(seq.subs, n)
		repeatable = rep
	}
	return seq.simplify()
}

func (n *node) simplify() *node {
	switch len(n.subs) {
	case 0:
		return &node{op: opEmpty}
	case 1:
		return n.subs[0]
	}
	return n
}

// skipSpace eats white space and # comments under "x".
func (p *parser) skipSpace() bool {
	c := p.src[p.pos]
	if isSpace(c) {
		p.pos++
		return true
	}
	if c == '#' {
		for p.more() && p.src[p.pos] != '\n' {
			p.pos++
		}
		return true
	}
	return false
}

// quantifier eats *, +, ?, {n,m} and says how often; ok is false when a brace
// is only a brace.
func (p *parser) quantifier() (lo, hi int, ok bool) {
	c := p.src[p.pos]
	switch c {
	case '*':
		p.pos++
		return 0, unlimited, true
	case '+':
		p.pos++
		return 1, unlimited, true
	case '?':
		p.pos++
		return 0, 1, true
	}
	i := p.pos + 1
	number := func() (int, bool) {
		start, n := i, 0
		for i < len(p.src) && isDigit(p.src[i]) {
			if n <= 65535 {
				n = n*10 + int(p.src[i]-'0')
			}
			i++
		}
		return n, i > start
	}
	lo, ok = number()
	if !ok {
		return 0, 0, false
	}
	loEnd := i
	hi = lo
	hiEnd := i
	if i < len(p.src) && p.src[i] == ',' {
		i++
		if h, given := number(); given {
			hi = h
			hiEnd = i
		} else {
			hi = unlimited
		}
	}
	if i >= len(p.src) || p.src[i] != '}' {
		return 0, 0, false
	}
	if lo > 65535 {
		p.fail("number too big in {} quantifier", min(p.pos+6, loEnd))
	}
	if hi > 65535 {
		p.fail("number too big in {} quantifier", hiEnd)
	}
	if hi != unlimited && hi < lo {
		p.fail("numbers out of order in {} quantifier", i)
	}
	p.pos = i + 1
	return lo, hi, true
}

// repeat wraps n, reading the ? or + that may follow a quantifier.
func (p *parser) repeat(n *node, lo, hi int) *node {
	mode := greedy
	if p.syn.ungreedy {
		mode = lazy
	}
	switch p.peekByte(0) {
	case '+':
		p.pos++
		mode = possessive
	case '?':
		p.pos++
		if mode == greedy {
			mode = lazy
		} else {
			mode = greedy
		}
	}
	switch n.op {
	case opLook:
		// An assertion gives the same answer each time: once or never matter.
		if lo > 0 {
			return n
		}
		hi = 1
	case opCondition:
		if n.cond == condDefine {
			return n
		}
	}
	return &node{op: opRepeat, subs: []*node{n}, min: lo, max: hi, mode: mode}
}

// atom reads one element. A nil node with rep set changes nothing for a
// quantifier that follows (a comment); with rep unset nothing can be repeated.
func (p *parser) atom() (n *node, rep bool) {
	switch p.src[p.pos] {
	case '^':
		p.pos++
		k := assertBOL
		if p.syn.multi {
			k = assertBOLM
		}
		return &node{op: opAssert, assert: k}, false
	case '$':
		p.pos++
		k := assertEOL
		if p.syn.multi {
			k = assertEOLM
		}
		return &node{op: opAssert, assert: k}, false
	case '.':
		p.pos++
		if p.syn.dotall {
			return &node{op: opAnyAll}, true
		}
		return &node{op: opAny}, true
	case '[':
		if n := p.wordBoundary(); n != nil {
			return n, true
		}
		return p.class(), true
	case ']':
		if p.js {
			p.fail("] is an invalid data character in JavaScript compatibility mode", p.pos)
		}
	case '(':
		return p.group()
	case '\\':
		return p.escape()
	}
	return p.literal(p.next()), true
}

// wordBoundary reads [[:<:]] and [[:>:]].
func (p *parser) wordBoundary() *node {
	word := func(behind bool) *node {
		s := p.newSet(func(s *set) { p.addWord(s, false) })
		return &node{op: opConcat, subs: []*node{
			{op: opAssert, assert: assertWord},
			{op: opLook, behind: behind, subs: []*node{{op: opClass, set: s}}},
		}}
	}
	if p.has("[[:<:]]") {
		return word(false)
	}
	if p.has("[[:>:]]") {
		return word(true)
	}
	return nil
}

func (p *parser) literal(r rune) *node {
	return &node{op: opLiteral, r: r, fold: p.syn.fold}
}
