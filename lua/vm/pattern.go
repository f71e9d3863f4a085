package vm

import "strings"

const (
	maxCaptures   = 32
	maxMatchDepth = 200
	capUnfinished = -1
	capPosition   = -2
)

// matcher is Lua's pattern matching, after LuaJIT's lib_string.c; it counts its steps
// against the budget.
type matcher struct {
	t     *Thread
	s, p  string
	level int
	depth int
	steps int
	caps  [maxCaptures]struct{ start, len int }
}

func newPattern(p string) string {
	if i := strings.IndexByte(p, 0); i >= 0 {
		return p[:i] // C's end of a string
	}
	return p
}

// at is the byte of the pattern, 0 past its end.
func (m *matcher) at(p int) byte {
	if p < len(m.p) {
		return m.p[p]
	}
	return 0
}

func (m *matcher) step(n int) {
	if m.steps += n; m.steps >= 1024 {
		m.t.pace(int64(m.steps) >> 2)
		m.steps = 0
	}
}

// reset begins a match at a new place.
func (m *matcher) reset() {
	m.level, m.depth = 0, 0
	m.step(1)
}

func (m *matcher) capture(c byte) int {
	l := int(c) - '1'
	if l < 0 || l >= m.level || m.caps[l].len == capUnfinished {
		m.t.callerError("invalid capture index")
	}
	return l
}

func (m *matcher) classEnd(p int) int {
	start := p
	c := m.at(p)
	p++
	switch c {
	case '%':
		if p >= len(m.p) {
			m.t.callerError("malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if m.at(p) == '^' {
			p++
		}
		for {
			if p >= len(m.p) {
				m.t.callerError("malformed pattern (missing ']')")
			}
			c := m.at(p)
			p++
			if c == '%' && p < len(m.p) {
				p++
			}
			if m.at(p) == ']' {
				m.step((p - start) >> 3)
				return p + 1
			}
		}
	}
	return p
}

func isPunct(c byte) bool {
	return c > 32 && c < 127 && !isAlpha(c) && !isDigit(c)
}

func matchClass(c, cl byte) bool {
	res := false
	switch cl | 0x20 {
	case 'a':
		res = isAlpha(c)
	case 'c':
		res = c < 32 || c == 127
	case 'd':
		res = isDigit(c)
	case 'g':
		res = c > 32 && c < 127
	case 'l':
		res = c-'a' < 26
	case 'p':
		res = isPunct(c)
	case 's':
		res = isSpace(c)
	case 'u':
		res = c-'A' < 26
	case 'w':
		res = isAlpha(c) || isDigit(c)
	case 'x':
		res = isHex(c)
	case 'z':
		res = c == 0
	default:
		return cl == c
	}
	if !isAlpha(cl) {
		return cl == c
	}
	return res == (cl&0x20 != 0)
}

// matchSet matches a set whose ] is at ec.
func (m *matcher) matchSet(c byte, p, ec int) bool {
	sig := true
	m.step((ec - p) >> 3)
	if m.at(p+1) == '^' {
		sig = false
		p++
	}
	for p++; p < ec; p++ {
		switch {
		case m.at(p) == '%':
			p++
			if matchClass(c, m.at(p)) {
				return sig
			}
		case m.at(p+1) == '-' && p+2 < ec:
			p += 2
			if m.at(p-2) <= c && c <= m.at(p) {
				return sig
			}
		case m.at(p) == c:
			return sig
		}
	}
	return !sig
}

func (m *matcher) single(c byte, p, ep int) bool {
	switch m.at(p) {
	case '.':
		return true
	case '%':
		return matchClass(c, m.at(p+1))
	case '[':
		return m.matchSet(c, p, ep-1)
	}
	return m.at(p) == c
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.p) {
		m.t.callerError("unbalanced pattern")
	}
	if s >= len(m.s) || m.s[s] != m.p[p] {
		return -1
	}
	b, e := m.p[p], m.p[p+1]
	depth := 1
	for i := s + 1; i < len(m.s); i++ {
		switch m.s[i] {
		case e:
			if depth--; depth == 0 {
				m.step(i - s)
				return i + 1
			}
		case b:
			depth++
		}
	}
	m.step(len(m.s) - s)
	return -1
}

func (m *matcher) maxExpand(s, p, ep int) int {
	i := 0
	for s+i < len(m.s) && m.single(m.s[s+i], p, ep) {
		i++
	}
	m.step(i)
	for ; i >= 0; i-- {
		if r := m.match(s+i, ep+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) minExpand(s, p, ep int) int {
	for {
		if r := m.match(s, ep+1); r >= 0 {
			return r
		}
		if s >= len(m.s) || !m.single(m.s[s], p, ep) {
			return -1
		}
		s++
	}
}

func (m *matcher) startCapture(s, p, what int) int {
	if m.level >= maxCaptures {
		m.t.callerError("too many captures")
	}
	m.caps[m.level].start, m.caps[m.level].len = s, what
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	l := m.level - 1
	for l >= 0 && m.caps[l].len != capUnfinished {
		l--
	}
	if l < 0 {
		m.t.callerError("invalid pattern capture")
	}
	m.caps[l].len = s - m.caps[l].start
	r := m.match(s, p)
	if r < 0 {
		m.caps[l].len = capUnfinished
	}
	return r
}

// match gives the end of a match of the pattern from p at s, or -1.
func (m *matcher) match(s, p int) int {
	m.depth++
	if m.depth > maxMatchDepth {
		m.t.callerError("pattern too complex")
	}
	m.step(1)
	s = m.matchHere(s, p)
	m.depth--
	return s
}

func (m *matcher) matchHere(s, p int) int {
	for {
		if p >= len(m.p) {
			return s
		}
		switch m.p[p] {
		case '(':
			if m.at(p+1) == ')' {
				return m.startCapture(s, p+2, capPosition)
			}
			return m.startCapture(s, p+1, capUnfinished)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.p) {
				if s != len(m.s) {
					return -1
				}
				return s
			}
		case '%':
			switch c := m.at(p + 1); {
			case c == 'b':
				if s = m.balance(s, p+2); s < 0 {
					return -1
				}
				p += 4
				continue
			case c == 'f':
				p += 2
				if m.at(p) != '[' {
					m.t.callerError("missing '[' after '%f' in pattern")
				}
				ep := m.classEnd(p)
				var prev, next byte
				if s > 0 {
					prev = m.s[s-1]
				}
				if s < len(m.s) {
					next = m.s[s]
				}
				if m.matchSet(prev, p, ep-1) || !m.matchSet(next, p, ep-1) {
					return -1
				}
				p = ep
				continue
			case isDigit(c):
				l := m.capture(c)
				n := m.caps[l].len
				if n < 0 { // a position capture compares a huge length in C
					return -1
				}
				start := m.caps[l].start
				if len(m.s)-s < n || m.s[start:start+n] != m.s[s:s+n] {
					return -1
				}
				m.step(n >> 3)
				s += n
				p += 2
				continue
			}
		}
		ep := m.classEnd(p)
		ok := s < len(m.s) && m.single(m.s[s], p, ep)
		switch m.at(ep) {
		case '?':
			if ok {
				if r := m.match(s+1, ep+1); r >= 0 {
					return r
				}
			}
			p = ep + 1
		case '*':
			return m.maxExpand(s, p, ep)
		case '+':
			if !ok {
				return -1
			}
			return m.maxExpand(s+1, p, ep)
		case '-':
			return m.minExpand(s, p, ep)
		default:
			if !ok {
				return -1
			}
			s++
			p = ep
		}
	}
}

// captured is capture i of a match from s to e.
func (m *matcher) captured(i, s, e int) Value {
	if i >= m.level {
		if i != 0 {
			m.t.callerError("invalid capture index")
		}
		return m.t.Substring(m.s, s, e)
	}
	c := m.caps[i]
	switch c.len {
	case capUnfinished:
		m.t.callerError("unfinished capture")
	case capPosition:
		return Int(c.start + 1)
	}
	return m.t.Substring(m.s, c.start, c.start+c.len)
}

// push adds all captures as results; whole stands in when there are none.
func (m *matcher) push(s, e int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.t.Push(m.captured(i, s, e))
	}
	return n
}

func strFind(t *Thread) int  { return findAux(t, true) }
func strMatch(t *Thread) int { return findAux(t, false) }

func findAux(t *Thread, find bool) int {
	s, p := t.CheckString(1), t.CheckString(2)
	start := t.optInt32(3, 1)
	if start < 0 {
		start += len(s)
	} else {
		start--
	}
	start = min(max(start, 0), len(s))
	if find && (t.ToBool(4) || !strings.ContainsAny(p, "^$*+?.([%-")) {
		i := strings.Index(s[start:], p)
		if i < 0 {
			t.work(int64(len(s)-start) >> 6)
			t.PushNil()
			return 1
		}
		t.work(int64(i) >> 6)
		t.Push(Int(start + i + 1))
		t.Push(Int(start + i + len(p)))
		return 2
	}
	m := matcher{t: t, s: s, p: newPattern(p)}
	at := 0
	if m.at(0) == '^' {
		at = 1
	}
	for {
		m.reset()
		if e := m.match(start, at); e >= 0 {
			if find {
				t.Push(Int(start + 1))
				t.Push(Int(e))
				return m.push(start, e, false) + 2
			}
			return m.push(start, e, true)
		}
		start++
		if start > len(s) || at == 1 {
			t.PushNil()
			return 1
		}
	}
}

func strGmatch(t *Thread) int {
	s, p := t.CheckString(1), newPattern(t.CheckString(2))
	pos := 0
	t.charge(128)
	t.Push(NewClosure("gmatch_aux", func(t *Thread) int {
		m := matcher{t: t, s: s, p: p}
		for ; pos <= len(s); pos++ {
			m.reset()
			if e := m.match(pos, 0); e >= 0 {
				from := pos
				pos = e
				if e == from {
					pos++
				}
				return m.push(from, e, true)
			}
		}
		return 0
	}, String(s), String(p)))
	return 1
}

func strGsub(t *Thread) int {
	s, p := t.CheckString(1), newPattern(t.CheckString(2))
	repl := t.Arg(3)
	maxN := t.optInt32(4, len(s)+1)
	at := 0
	if p != "" && p[0] == '^' {
		at = 1
	}
	text := ""
	switch repl.Type() {
	case TypeNumber, TypeString:
		text, _ = repl.ToStringValue()
	case TypeFunction, TypeTable:
	default:
		t.ArgError(3, "string/function/table expected")
	}
	m := matcher{t: t, s: s, p: p}
	plain := !strings.Contains(text, "%")
	var out grown
	src, copied, n := 0, 0, 0 // s[copied:src] is still to be copied
	for n < maxN {
		m.reset()
		e := m.match(src, at)
		if e >= 0 {
			n++
			out.add(t, s[copied:src])
			copied = e
			if repl.isStr() && plain {
				out.add(t, text)
			} else {
				m.replace(&out, repl, text, src, e)
			}
		}
		if e > src {
			src = e
		} else if src < len(s) {
			src++
		} else {
			break
		}
		if at == 1 {
			break
		}
	}
	if n == 0 {
		t.Push(String(s))
	} else {
		out.add(t, s[copied:])
		t.chargeString(len(out.b))
		t.Push(String(bytesString(out.b)))
	}
	t.PushNumber(float64(n))
	return 2
}

// replace appends what stands for the match from s to e.
func (m *matcher) replace(out *grown, repl Value, text string, s, e int) {
	var v Value
	switch repl.Type() {
	case TypeFunction:
		var buf [maxCaptures]Value
		n := max(m.level, 1)
		for i := range n {
			buf[i] = m.captured(i, s, e)
		}
		v = m.t.call1(repl, buf[:n])
	case TypeTable:
		v = m.t.Index(repl, m.captured(0, s, e))
	default:
		for i := 0; i < len(text); i++ {
			c := text[i]
			if c != '%' {
				out.add(m.t, singleBytes[c])
				continue
			}
			i++
			switch {
			case i >= len(text):
				out.add(m.t, "\x00")
			case !isDigit(text[i]):
				out.add(m.t, singleBytes[text[i]])
			case text[i] == '0':
				out.add(m.t, m.s[s:e])
			default:
				str, _ := m.captured(int(text[i]-'1'), s, e).ToStringValue()
				out.add(m.t, str)
			}
		}
		return
	}
	if !v.Truthy() {
		out.add(m.t, m.s[s:e])
		return
	}
	str, ok := v.ToStringValue()
	if !ok {
		m.t.callerError("invalid replacement value (a " + v.Type().String() + ")")
	}
	out.add(m.t, str)
}
