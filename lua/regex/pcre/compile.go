package pcre

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// instOp is what an instruction does. Those up to iAnyRune match one
// character and may stand in a loop.
type instOp uint8

const (
	iChar     instOp = iota // byte b
	iCharFold               // byte b (lower case) or its upper case
	iSet                    // a byte of set
	iAny                    // a byte but \n
	iAnyAll                 // any byte
	iRuneFold               // r or another case of it
	iRuneLit                // r, more than one byte long
	iRuneSet                // a character of set
	iAnyRune                // a character but \n
	iAllRune                // any character

	iString     // the bytes of str
	iStringFold // the same in any (ASCII) case; str is lower case
	iAssert     // a place
	iSplit      // try x, then y
	iJump       // go on at x
	iOpen       // capture n begins
	iClose      // capture n ends
	iLoop       // the single character of body, min to max times
	iBack       // n characters back
	iLook       // run x to its iEnd; go on at y, or at z if it failed
	iAtomic     // run x to its iEnd; go on at y behind it
	iMark       // remember the place in loop slot n
	iCheck      // nothing matched since iMark n: leave the loop, to x
	iBackref    // what a group matched
	iCall       // run group n as a subroutine
	iIfGroup    // is a group set? else go to y
	iIfCall     // are we in a call of n (-1: any)? else go to y
	iKeep       // \K
	iVerb       // (*FAIL) and its kin
	iEnd        // end of a subprogram
	iMatch      // end of the pattern
)

type inst struct {
	op     instOp
	body   instOp // of iLoop
	b      byte
	mode   repeatMode
	assert assertKind
	verb   verbKind
	negate bool
	fold   bool
	alt    bool  // of iSplit: between branches of a group
	cx, cy uint8 // what the branches of iSplit count against the match limit
	x, y   int32
	z      int32
	n      int32
	min    int32
	max    int32
	r      rune
	set    *set
	str    string
	groups []int
}

// maxProgram bounds a compiled pattern, as PCRE's 64 KiB do.
const maxProgram = 50000

type compiler struct {
	p      *parser
	prog   []inst
	slots  int
	groups map[int]int32 // where a capture's iOpen is
}

func (c *compiler) emit(in inst) int32 {
	if len(c.prog) >= maxProgram {
		c.p.fail("regular expression is too large", len(c.p.src))
	}
	c.prog = append(c.prog, in)
	return int32(len(c.prog) - 1)
}

func (c *compiler) here() int32 { return int32(len(c.prog)) }

func (c *compiler) node(n *node) {
	switch n.op {
	case opEmpty:
	case opLiteral:
		c.literals([]*node{n})
	case opClass, opAny, opAnyAll, opByte:
		c.emit(c.single(n))
	case opConcat:
		c.concat(n.subs)
	case opAlternate:
		c.alternate(n.subs, false)
	case opGroup:
		c.node(n.subs[0])
	case opCapture:
		at := c.emit(inst{op: iOpen, n: int32(n.n), cx: 1})
		if _, ok := c.groups[n.n]; !ok {
			c.groups[n.n] = at
		}
		c.branches(n.subs[0])
		c.emit(inst{op: iClose, n: int32(n.n)})
	case opAtomic:
		at := c.emit(inst{op: iAtomic, cx: 1})
		c.branches(n.subs[0])
		c.emit(inst{op: iEnd})
		c.prog[at].x, c.prog[at].y = at+1, c.here()
	case opLook:
		c.look(n)
	case opRepeat:
		c.repeat(n)
	case opAssert:
		c.emit(inst{op: iAssert, assert: n.assert})
	case opBackref:
		c.emit(inst{op: iBackref, groups: n.groups, fold: n.fold})
	case opRecurse:
		c.emit(inst{op: iCall, n: int32(n.n)})
	case opCondition:
		c.condition(n)
	case opKeep:
		c.emit(inst{op: iKeep})
	case opVerb:
		c.emit(inst{op: iVerb, verb: n.verb})
	}
}

// branches is node for the inside of a group whose opening instruction counts
// the first branch.
func (c *compiler) branches(n *node) {
	if n.op == opAlternate {
		c.alternate(n.subs, true)
		return
	}
	c.node(n)
}

// alternate emits branches; counted says that the instruction before has
// counted the first one.
func (c *compiler) alternate(alts []*node, counted bool) {
	var ends []int32
	for i, alt := range alts {
		if i == len(alts)-1 {
			c.node(alt)
			break
		}
		cy := uint8(0)
		if i == len(alts)-2 {
			cy = 1
		}
		cx := uint8(1)
		if i == 0 && counted {
			cx = 0
		}
		split := c.emit(inst{op: iSplit, cx: cx, cy: cy, alt: true})
		c.node(alt)
		ends = append(ends, c.emit(inst{op: iJump}))
		c.prog[split].x, c.prog[split].y = split+1, c.here()
	}
	for _, e := range ends {
		c.prog[e].x = c.here()
	}
}

// concat emits a row of nodes, joining literals into strings.
func (c *compiler) concat(subs []*node) {
	for i := 0; i < len(subs); {
		j := i
		for j < len(subs) && subs[j].op == opLiteral && subs[j].fold == subs[i].fold {
			j++
		}
		if j > i {
			c.literals(subs[i:j])
			i = j
			continue
		}
		c.node(subs[i])
		i++
	}
}

func (c *compiler) literals(lits []*node) {
	var buf []byte
	fold := lits[0].fold
	flush := func() {
		switch {
		case len(buf) == 0:
		case len(buf) == 1 && fold && isAlpha(buf[0]):
			c.emit(inst{op: iCharFold, b: lower(buf[0])})
		case len(buf) == 1:
			c.emit(inst{op: iChar, b: buf[0]})
		case fold:
			c.emit(inst{op: iStringFold, str: strings.ToLower(string(buf))})
		default:
			c.emit(inst{op: iString, str: string(buf)})
		}
		buf = nil
	}
	for _, l := range lits {
		switch {
		case !c.p.utf:
			buf = append(buf, byte(l.r))
		case fold && foldsBeyondASCII(l.r):
			flush()
			c.emit(inst{op: iRuneFold, r: l.r})
		default:
			buf = utf8.AppendRune(buf, l.r)
		}
	}
	if fold && !isASCII(buf) {
		// strings.ToLower must not touch what has no case here.
		for _, b := range buf {
			c.emit(inst{op: iCharFold, b: lower(b)})
		}
		buf = nil
	}
	flush()
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if isUpper(b) {
		return b + 32
	}
	return b
}

// foldsBeyondASCII tells whether another case of r is not ASCII, or r itself
// has a case and is not.
func foldsBeyondASCII(r rune) bool {
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if f >= 0x80 || r >= 0x80 {
			return true
		}
	}
	return false
}

// single gives the instruction for a node that matches one character.
func (c *compiler) single(n *node) inst {
	utf := c.p.utf
	switch n.op {
	case opByte:
		return inst{op: iAnyAll}
	case opAny:
		if utf {
			return inst{op: iAnyRune}
		}
		return inst{op: iAny}
	case opAnyAll:
		if utf {
			return inst{op: iAllRune}
		}
		return inst{op: iAnyAll}
	case opClass:
		if utf && !n.set.onlyASCII() {
			return inst{op: iRuneSet, set: n.set}
		}
		return inst{op: iSet, set: n.set}
	}
	switch {
	case utf && n.fold && foldsBeyondASCII(n.r):
		return inst{op: iRuneFold, r: n.r}
	case utf && n.r >= 0x80:
		return inst{op: iRuneLit, r: n.r}
	case n.fold && n.r < 0x80 && isAlpha(byte(n.r)):
		return inst{op: iCharFold, b: lower(byte(n.r))}
	}
	return inst{op: iChar, b: byte(n.r)}
}

// onlyASCII tells whether no character beyond ASCII is in the set, so that
// bytes will do under "u" too.
func (s *set) onlyASCII() bool {
	return !s.negate && !s.fold && len(s.ranges) == 0 && len(s.tables) == 0 && s.low[2] == 0 && s.low[3] == 0
}

func isSingle(n *node) bool {
	switch n.op {
	case opLiteral, opClass, opAny, opAnyAll, opByte:
		return true
	}
	return false
}

func (c *compiler) repeat(n *node) {
	sub := n.subs[0]
	if sub.op == opGroup && isSingle(sub.subs[0]) {
		sub = sub.subs[0]
	}
	if n.max == 0 {
		skip := c.emit(inst{op: iJump})
		c.node(sub)
		c.prog[skip].x = c.here()
		return
	}
	if isSingle(sub) {
		if n.min == 1 && n.max == 1 {
			c.emit(c.single(sub))
			return
		}
		in := c.single(sub)
		in.body, in.op = in.op, iLoop
		in.min, in.max, in.mode = int32(n.min), int32(n.max), n.mode
		c.emit(in)
		return
	}
	if n.mode == possessive {
		at := c.emit(inst{op: iAtomic, cx: 1})
		c.expand(sub, n.min, n.max, greedy)
		c.emit(inst{op: iEnd})
		c.prog[at].x, c.prog[at].y = at+1, c.here()
		return
	}
	c.expand(sub, n.min, n.max, n.mode)
}

// expand unrolls a repeated group.
func (c *compiler) expand(sub *node, lo, hi int, mode repeatMode) {
	for range lo {
		c.node(sub)
	}
	split := func() int32 { return c.emit(inst{op: iSplit, cx: 1, mode: mode}) }
	// aim points the split's preferred branch at the group or behind it.
	aim := func(at, group, behind int32) {
		if mode == lazy {
			group, behind = behind, group
		}
		c.prog[at].x, c.prog[at].y = group, behind
	}
	if hi == unlimited {
		top := c.emit(inst{op: iSplit, cx: 1, cy: 1, mode: mode})
		slot := int32(-1)
		if minLength(sub, 0) == 0 {
			slot = int32(c.slots)
			c.slots++
			c.emit(inst{op: iMark, n: slot})
		}
		c.node(sub)
		check := int32(-1)
		if slot >= 0 {
			check = c.emit(inst{op: iCheck, n: slot})
		}
		c.emit(inst{op: iJump, x: top})
		aim(top, top+1, c.here())
		if check >= 0 {
			c.prog[check].x = c.here()
		}
		return
	}
	var splits []int32
	for range hi - lo {
		splits = append(splits, split())
		c.node(sub)
	}
	for _, s := range splits {
		aim(s, s+1, c.here())
	}
}

// look emits a lookaround; the branches of a lookbehind each step back by
// their own length.
func (c *compiler) look(n *node) {
	at := c.emit(inst{op: iLook, negate: n.negate, cx: 1})
	body := n.subs[0]
	if n.behind {
		alts := []*node{body}
		if body.op == opAlternate {
			alts = body.subs
		}
		stepped := make([]*node, len(alts))
		for i, alt := range alts {
			stepped[i] = &node{op: opLook, n: c.p.width(alt, n.at), subs: []*node{alt}}
		}
		c.behind(stepped)
	} else {
		c.branches(body)
	}
	c.emit(inst{op: iEnd})
	c.prog[at].x, c.prog[at].y, c.prog[at].z = at+1, c.here(), -1
}

// behind is alternate for branches that begin with a step back.
func (c *compiler) behind(alts []*node) {
	var ends []int32
	for i, alt := range alts {
		split := int32(-1)
		if i < len(alts)-1 {
			split = c.emit(inst{op: iSplit, cx: 1, alt: true})
		}
		c.emit(inst{op: iBack, n: int32(alt.n)})
		c.node(alt.subs[0])
		if split >= 0 {
			ends = append(ends, c.emit(inst{op: iJump}))
			c.prog[split].x, c.prog[split].y = split+1, c.here()
		}
	}
	for _, e := range ends {
		c.prog[e].x = c.here()
	}
}

func (c *compiler) condition(n *node) {
	yes, no := n.subs[len(n.subs)-2], n.subs[len(n.subs)-1]
	var at int32
	switch n.cond {
	case condDefine:
		at = c.emit(inst{op: iJump})
		c.node(yes)
		c.prog[at].x = c.here()
		return
	case condLook:
		at = c.here()
		c.look(n.subs[0])
	case condGroup:
		groups := n.groups
		if groups == nil {
			groups = []int{n.n}
		}
		at = c.emit(inst{op: iIfGroup, groups: groups})
	case condRecurse:
		at = c.emit(inst{op: iIfCall, n: int32(n.n)})
	}
	c.node(yes)
	end := c.emit(inst{op: iJump})
	if n.cond == condLook {
		c.prog[at].z = c.here()
	} else {
		c.prog[at].y = c.here()
	}
	c.node(no)
	c.prog[end].x = c.here()
}
