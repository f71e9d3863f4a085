package pcre

import (
	"unicode"
	"unicode/utf8"
)

const notFixed = "lookbehind assertion is not fixed length"

// width is how many characters n matches, for a lookbehind; a pattern whose
// width varies is refused.
func (p *parser) width(n *node, at int) int {
	switch n.op {
	case opLiteral, opClass, opAny, opAnyAll:
		return 1
	case opByte:
		if p.utf {
			p.fail(`\C not allowed in lookbehind assertion`, at)
		}
		return 1
	case opConcat:
		w := 0
		for _, s := range n.subs {
			w += p.width(s, at)
		}
		return w
	case opAlternate:
		w := p.width(n.subs[0], at)
		for _, s := range n.subs[1:] {
			if p.width(s, at) != w {
				p.failLater(notFixed, at)
			}
		}
		return w
	case opCapture, opGroup, opAtomic:
		return p.width(n.subs[0], at)
	case opRepeat:
		if n.min != n.max || n.max == 0 && !isSingle(n.subs[0]) {
			p.failLater(notFixed, at)
		}
		w := n.min * p.width(n.subs[0], at)
		if w > 65535 {
			p.failLater(notFixed, at)
		}
		return w
	case opCondition:
		if n.cond == condDefine {
			return 0
		}
		w := p.width(n.subs[len(n.subs)-2], at)
		if p.width(n.subs[len(n.subs)-1], at) != w {
			p.failLater(notFixed, at)
		}
		return w
	case opBackref, opRecurse:
		p.failLater(notFixed, at)
	}
	return 0
}

// failLater keeps the first complaint that PCRE makes only once the rest of
// the pattern has proved sound.
func (p *parser) failLater(msg string, at int) {
	if p.later == nil {
		p.later = &CompileError{Msg: msg, Pattern: p.src, Offset: at}
	}
}

// minLength is a lower bound of how many bytes n matches.
func minLength(n *node, depth int) int {
	if depth > 2*maxDepth {
		return 0
	}
	switch n.op {
	case opLiteral, opClass, opAny, opAnyAll, opByte:
		return 1
	case opConcat:
		w := 0
		for _, s := range n.subs {
			w = min(w+minLength(s, depth+1), 1<<20)
		}
		return w
	case opAlternate:
		w := minLength(n.subs[0], depth+1)
		for _, s := range n.subs[1:] {
			w = min(w, minLength(s, depth+1))
		}
		return w
	case opCapture, opGroup, opAtomic:
		return minLength(n.subs[0], depth+1)
	case opRepeat:
		return min(n.min*minLength(n.subs[0], depth+1), 1<<20)
	}
	return 0
}

// firstBytes collects the bytes n can begin with; false means that n may
// match nothing (or that nobody knows), so that what follows counts too.
func (c *compiler) firstBytes(n *node, into *set) bool {
	all := func() {
		for i := range into.low {
			into.low[i] = ^uint64(0)
		}
	}
	switch n.op {
	case opLiteral:
		c.firstOfRune(n.r, n.fold, into)
		return true
	case opClass:
		if !c.p.utf {
			for i := range into.low {
				into.low[i] |= n.set.low[i]
			}
			return true
		}
		into.low[0] |= n.set.low[0]
		into.low[1] |= n.set.low[1]
		if !n.set.onlyASCII() {
			into.low[2], into.low[3] = ^uint64(0), ^uint64(0)
		}
		return true
	case opAny, opAnyAll, opByte:
		all()
		return true
	case opConcat:
		for _, s := range n.subs {
			if c.firstBytes(s, into) {
				return true
			}
		}
		return false
	case opAlternate:
		known := true
		for _, s := range n.subs {
			known = c.firstBytes(s, into) && known
		}
		return known
	case opCapture, opGroup, opAtomic:
		return c.firstBytes(n.subs[0], into)
	case opRepeat:
		return c.firstBytes(n.subs[0], into) && n.min > 0
	case opAssert, opLook, opKeep, opEmpty:
		return false
	}
	all()
	return true
}

func (c *compiler) firstOfRune(r rune, fold bool, into *set) {
	add := func(r rune) {
		if c.p.utf {
			var b [4]byte
			utf8.EncodeRune(b[:], r)
			into.addByte(b[0])
			return
		}
		into.addByte(byte(r))
	}
	add(r)
	if !fold {
		return
	}
	if !c.p.utf {
		into.addByte(lower(byte(r)))
		if isLower(byte(r)) {
			into.addByte(byte(r) - 32)
		}
		return
	}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		add(f)
	}
}

// prefix is the text every match begins with, as far as that is plain.
func (c *compiler) prefix(n *node) string {
	var buf []byte
	subs := []*node{n}
	if n.op == opConcat {
		subs = n.subs
	}
	for _, s := range subs {
		if s.op != opLiteral || s.fold {
			break
		}
		if c.p.utf {
			buf = utf8.AppendRune(buf, s.r)
		} else {
			buf = append(buf, byte(s.r))
		}
	}
	return string(buf)
}

// anchored tells whether n can match only where the search begins: all
// branches start with ^ or \A or \G, or with .* under "s".
func anchored(n *node) bool {
	switch n.op {
	case opAssert:
		return n.assert == assertBOL || n.assert == assertStart
	case opConcat:
		return len(n.subs) > 0 && anchored(n.subs[0])
	case opAlternate:
		for _, s := range n.subs {
			if !anchored(s) {
				return false
			}
		}
		return true
	case opCapture, opGroup:
		return anchored(n.subs[0])
	}
	return false
}

// dotStar tells whether n starts with .* in every branch: then only line
// starts (all is false) or the very start (all is true, under "s") can match.
func dotStar(n *node, all bool) bool {
	switch n.op {
	case opRepeat:
		op := n.subs[0].op
		return n.min == 0 && n.max == unlimited && n.mode != possessive && (op == opAnyAll || !all && op == opAny)
	case opConcat:
		return len(n.subs) > 0 && dotStar(n.subs[0], all)
	case opAlternate:
		for _, s := range n.subs {
			if !dotStar(s, all) {
				return false
			}
		}
		return true
	case opGroup:
		return dotStar(n.subs[0], all)
	}
	return false
}

// possess marks loops that never need to give a character back, because what
// follows cannot match one: [a-z]+\d, \w+ at the end.
func (c *compiler) possess() {
	for i := range c.prog {
		in := &c.prog[i]
		if in.op != iLoop || in.mode != greedy || i+1 >= len(c.prog) {
			continue
		}
		j := i + 1
		for c.prog[j].op == iClose {
			j++
		}
		next := &c.prog[j]
		if next.op == iMatch || disjoint(in, next) {
			in.mode = possessive
		}
	}
}

// disjoint tells, for byte loops only, whether no byte of the loop can start
// what follows.
func disjoint(loop, next *inst) bool {
	var a, b set
	if !byteSet(loop.body, loop, &a) {
		return false
	}
	op := next.op
	if op == iLoop {
		if next.min == 0 {
			return false
		}
		op = next.body
	}
	switch op {
	case iString:
		b.addByte(next.str[0])
	default:
		if !byteSet(op, next, &b) {
			return false
		}
	}
	for i := range a.low {
		if a.low[i]&b.low[i] != 0 {
			return false
		}
	}
	return true
}

func byteSet(op instOp, in *inst, s *set) bool {
	switch op {
	case iChar:
		s.addByte(in.b)
	case iCharFold:
		s.addByte(in.b)
		if isLower(in.b) {
			s.addByte(in.b - 32)
		}
	case iSet:
		s.low = in.set.low
	case iAny:
		s.addByte('\n')
		s.invert()
	default:
		return false
	}
	return true
}

// required finds a byte that every match must contain (either case of it,
// when fold is set): without it in the subject there is nothing to try.
func (c *compiler) required(n *node) (b byte, fold, ok bool) {
	switch n.op {
	case opLiteral:
		if n.r >= 0x80 && (c.p.utf || n.fold) || n.fold && c.p.utf && foldsBeyondASCII(n.r) {
			return 0, false, false
		}
		b = byte(n.r)
		if n.fold {
			b = lower(b)
		}
		return b, n.fold && isAlpha(b), true
	case opConcat:
		for i := len(n.subs) - 1; i >= 0; i-- {
			if b, fold, ok = c.required(n.subs[i]); ok {
				return b, fold, true
			}
		}
	case opCapture, opGroup, opAtomic:
		return c.required(n.subs[0])
	case opRepeat:
		if n.min > 0 {
			return c.required(n.subs[0])
		}
	case opAlternate:
		b, fold, ok = c.required(n.subs[0])
		for _, s := range n.subs[1:] {
			b2, fold2, ok2 := c.required(s)
			if !ok || !ok2 || b2 != b || fold2 != fold {
				return 0, false, false
			}
		}
		return b, fold, ok
	}
	return 0, false, false
}
