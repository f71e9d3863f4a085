package pcre

// run executes from pc at pos until iMatch or the iEnd (or, for a called
// group, the iClose) of this run, and gives the place it came to. On success
// the backtracking points it made stay on the stack; on errNoMatch they are
// used up.
func (m *machine) run(pc int32, pos int, ret int32) (int, error) {
	m.depth++
	if m.depth > maxNested {
		return 0, &ExecError{ErrorRecursionLimit}
	}
	base := len(m.stack)
	for {
		to, done, err := m.forward(pc, pos, ret)
		if err != nil {
			return 0, err
		}
		if done {
			m.depth--
			return to, nil
		}
		pc, pos, err = m.backtrack(base)
		if err != nil {
			m.depth--
			return 0, err
		}
	}
}

// forward goes on until the run is done or something does not match.
func (m *machine) forward(pc int32, pos int, ret int32) (to int, done bool, err error) {
	s := m.s
	for {
		in := &m.prog[pc]
		switch in.op {
		case iChar:
			if pos >= len(s) || s[pos] != in.b {
				return 0, false, nil
			}
			pos++
			pc++
		case iString:
			n := len(in.str)
			if len(s)-pos < n || s[pos:pos+n] != in.str {
				return 0, false, nil
			}
			pos += n
			pc++
		case iStringFold:
			n := len(in.str)
			if len(s)-pos < n || !equalFoldASCII(s[pos:pos+n], in.str) {
				return 0, false, nil
			}
			pos += n
			pc++
		case iCharFold, iSet, iAny, iAnyAll, iRuneFold, iRuneLit, iRuneSet, iAnyRune, iAllRune:
			pos = m.one(in.op, in, pos)
			if pos < 0 {
				return 0, false, nil
			}
			pc++
		case iAssert:
			if !m.place(in.assert, pos) {
				return 0, false, nil
			}
			pc++
		case iJump:
			pc = in.x
		case iSplit:
			if err := m.count(int(in.cx), 1); err != nil {
				return 0, false, err
			}
			kind := fBranch
			if in.alt {
				kind = fAlt
			}
			if err := m.push(kind, in.y, int32(pos), int32(in.cy)); err != nil {
				return 0, false, err
			}
			pc = in.x
		case iOpen:
			if err := m.push(fOpen, in.n, m.opens[in.n], 0); err != nil {
				return 0, false, err
			}
			if err := m.count(1, 1); err != nil {
				return 0, false, err
			}
			m.opens[in.n] = int32(pos)
			pc++
		case iClose:
			if ret > 0 && in.n == ret {
				return pos, true, nil
			}
			if err := m.push(fCap, in.n, m.caps[2*in.n], m.caps[2*in.n+1]); err != nil {
				return 0, false, err
			}
			m.caps[2*in.n], m.caps[2*in.n+1] = m.opens[in.n], int32(pos)
			pc++
		case iLoop:
			pos, err = m.loop(in, pc, pos)
			if err != nil || pos < 0 {
				return 0, false, err
			}
			pc++
		case iBack:
			pos = m.back(pos, int(in.n))
			if pos < 0 {
				return 0, false, nil
			}
			pc++
		case iMark:
			if err := m.push(fMark, in.n, m.marks[in.n], 0); err != nil {
				return 0, false, err
			}
			m.marks[in.n] = int32(pos)
			pc++
		case iCheck:
			pc++
			if m.marks[in.n] == int32(pos) {
				pc = in.x
			}
		case iBackref:
			pos = m.backref(in, pos)
			if pos < 0 {
				return 0, false, nil
			}
			if err := m.worked(1); err != nil {
				return 0, false, err
			}
			pc++
		case iKeep:
			if err := m.push(fKeep, 0, int32(m.begin), 0); err != nil {
				return 0, false, err
			}
			m.begin = pos
			pc++
		case iMatch, iEnd:
			return pos, true, nil
		default:
			pc, pos, done, err = m.special(in, pc, pos)
			if err != nil || pos < 0 || done {
				return pos, done, err
			}
		}
	}
}

func equalFoldASCII(s, low string) bool {
	for i := range len(s) {
		if lower(s[i]) != low[i] {
			return false
		}
	}
	return true
}

// special is the part of forward that starts other runs. A negative place
// means that nothing matched.
func (m *machine) special(in *inst, pc int32, pos int) (int32, int, bool, error) {
	if err := m.count(int(in.cx), 1); err != nil {
		return 0, -1, false, err
	}
	switch in.op {
	case iAtomic:
		base := len(m.stack)
		end, err := m.run(in.x, pos, -1)
		if m.abandon {
			return 0, -1, false, errNoMatch
		}
		if err != nil {
			return 0, -1, false, soft(err)
		}
		m.commit(base)
		return in.y, end, false, nil
	case iLook:
		return m.look(in, pos)
	case iCall:
		return m.call(in, pc, pos)
	case iIfGroup:
		for _, g := range in.groups {
			if m.caps[2*g] >= 0 {
				return pc + 1, pos, false, nil
			}
		}
		return in.y, pos, false, nil
	case iIfCall:
		if m.called != 0 && (in.n < 0 || m.called == in.n+1) {
			return pc + 1, pos, false, nil
		}
		return in.y, pos, false, nil
	case iVerb:
		kind := fPrune
		switch in.verb {
		case verbFail:
			return 0, -1, false, nil
		case verbAccept:
			return 0, pos, true, nil
		case verbCommit:
			kind = fCommit
		case verbSkip:
			kind = fSkip
		case verbThen:
			kind = fThen
		}
		return pc + 1, pos, false, m.push(kind, pc, int32(pos), 0)
	}
	return 0, -1, false, nil
}

// soft turns a run's "no match" into nil: for its caller that is no error.
func soft(err error) error {
	if err == errNoMatch {
		return nil
	}
	return err
}

// commit drops the choices above base but keeps what undoes captures.
func (m *machine) commit(base int) {
	keep := base
	for i := base; i < len(m.stack); i++ {
		switch m.stack[i].kind {
		case fCap, fOpen, fMark, fKeep:
			m.stack[keep] = m.stack[i]
			keep++
		}
	}
	m.stack = m.stack[:keep]
}

func (m *machine) look(in *inst, pos int) (int32, int, bool, error) {
	base := len(m.stack)
	_, err := m.run(in.x, pos, -1)
	m.abandon, m.stop, m.skip = false, false, 0
	if soft(err) != nil {
		return 0, -1, false, err
	}
	matched := err == nil
	switch {
	case matched && !in.negate:
		m.commit(base)
		return in.y, pos, false, nil
	case matched:
		m.undo(base)
	case in.negate:
		return in.y, pos, false, nil
	}
	if in.z >= 0 {
		return in.z, pos, false, nil
	}
	return 0, -1, false, nil
}

// call runs a group as a subroutine: what it captured is forgotten, and it is
// not backtracked into.
func (m *machine) call(in *inst, pc int32, pos int) (int32, int, bool, error) {
	if err := m.count(1, 1); err != nil {
		return 0, -1, false, err
	}
	caps := append([]int32(nil), m.caps...)
	opens := append([]int32(nil), m.opens...)
	called, base := m.called, len(m.stack)
	m.called = in.n + 1
	from := in.x
	if in.n == 0 {
		from = 0
	}
	end, err := m.run(from, pos, in.n)
	m.called = called
	m.abandon, m.stop, m.skip = false, false, 0
	if err != nil {
		return 0, -1, false, soft(err)
	}
	m.stack = m.stack[:base]
	copy(m.caps, caps)
	copy(m.opens, opens)
	return pc + 1, end, false, nil
}

// undo takes back what stands above base.
func (m *machine) undo(base int) {
	for len(m.stack) > base {
		m.restore(&m.stack[len(m.stack)-1])
		m.stack = m.stack[:len(m.stack)-1]
	}
}

func (m *machine) restore(f *frame) {
	switch f.kind {
	case fCap:
		m.caps[2*f.pc], m.caps[2*f.pc+1] = f.a, f.b
	case fOpen:
		m.opens[f.pc] = f.a
	case fMark:
		m.marks[f.pc] = f.a
	case fKeep:
		m.begin = int(f.a)
	}
}

// backtrack goes back to the last choice above base.
func (m *machine) backtrack(base int) (pc int32, pos int, err error) {
	for len(m.stack) > base {
		f := &m.stack[len(m.stack)-1]
		switch f.kind {
		case fBranch, fAlt:
			pc, pos = f.pc, int(f.a)
			steps := int(f.b)
			m.stack = m.stack[:len(m.stack)-1]
			return pc, pos, m.count(steps, 1)
		case fGive:
			in := &m.prog[f.pc]
			if f.b <= f.a {
				m.stack = m.stack[:len(m.stack)-1]
				continue
			}
			if in.body < iRuneFold {
				f.b--
			} else {
				f.b = int32(m.back(int(f.b), 1))
			}
			pc, pos = f.pc+1, int(f.b)
			if f.b <= f.a {
				m.stack = m.stack[:len(m.stack)-1]
			}
			return pc, pos, m.count(1, 1)
		case fTake:
			in := &m.prog[f.pc]
			to := -1
			if in.max < 0 || f.b < in.max {
				to = m.one(in.body, in, int(f.a))
			}
			if to < 0 {
				m.stack = m.stack[:len(m.stack)-1]
				continue
			}
			f.a = int32(to)
			f.b++
			return f.pc + 1, to, m.count(1, 1)
		case fCommit:
			m.stop = true
			m.abandon = true
			m.undo(base)
			return 0, 0, errNoMatch
		case fPrune:
			m.abandon = true
			m.undo(base)
			return 0, 0, errNoMatch
		case fSkip:
			m.skip = int(f.a)
			m.abandon = true
			m.undo(base)
			return 0, 0, errNoMatch
		case fThen:
			m.then(base)
		default:
			m.restore(f)
			m.stack = m.stack[:len(m.stack)-1]
		}
	}
	return 0, 0, errNoMatch
}

// then drops choices down to the next branch of an enclosing group.
func (m *machine) then(base int) {
	for len(m.stack) > base {
		f := &m.stack[len(m.stack)-1]
		if f.kind == fAlt {
			return
		}
		m.restore(f)
		m.stack = m.stack[:len(m.stack)-1]
	}
}

// loop runs a single-character loop at pos, leaves a frame for its other
// choices, and gives the place behind it or -1.
func (m *machine) loop(in *inst, pc int32, pos int) (int, error) {
	from := pos
	for range in.min {
		pos = m.one(in.body, in, pos)
		if pos < 0 {
			return -1, m.worked(1)
		}
	}
	if in.max == in.min {
		return pos, m.worked(pos - from)
	}
	if in.mode == lazy {
		if err := m.push(fTake, pc, int32(pos), in.min); err != nil {
			return -1, err
		}
		return pos, m.count(1, 1+pos-from)
	}
	least := pos
	pos = m.scan(in, pos)
	if err := m.worked(1 + (pos-from)/4); err != nil {
		return -1, err
	}
	if in.mode == greedy && pos > least {
		if err := m.push(fGive, pc, int32(least), int32(pos)); err != nil {
			return -1, err
		}
		return pos, m.count(1, 0)
	}
	return pos, nil
}

// scan takes as many characters as the loop may.
func (m *machine) scan(in *inst, pos int) int {
	s, left := m.s, int(in.max-in.min)
	if in.max < 0 {
		left = len(s)
	}
	end := min(len(s), pos+left)
	switch in.body {
	case iSet:
		set := in.set
		for pos < end && set.hasByte(s[pos]) {
			pos++
		}
	case iAny:
		for pos < end && s[pos] != '\n' {
			pos++
		}
	case iAnyAll:
		pos = end
	case iChar:
		for pos < end && s[pos] == in.b {
			pos++
		}
	default:
		for ; left > 0; left-- {
			to := m.one(in.body, in, pos)
			if to < 0 {
				break
			}
			pos = to
		}
	}
	return pos
}
