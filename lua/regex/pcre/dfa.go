package pcre

import "unicode/utf8"

// FindLongest is Find for the "d" option: of all matches that begin at the
// first possible place it gives the longest, without captures, as PCRE's DFA
// matcher does. All paths are followed side by side, so that its time grows
// with the subject and not with the number of paths; the match limit does not
// apply.
func (re *Regexp) FindLongest(subject string, start int, dst []int, lim Limits) ([]int, error) {
	for i := range re.prog {
		if op := re.prog[i].op; op == iBackref || op == iKeep {
			return nil, &ExecError{ErrorDFAItem}
		}
	}
	if !re.dfa {
		caps, err := re.Find(subject, start, dst, lim)
		if caps != nil {
			caps = caps[:2]
		}
		return caps, err
	}
	if err := re.check(subject, start, lim); err != nil {
		return nil, err
	}
	m := re.machine(subject, start, lim)
	m.limit = defaultMatchLimit
	defer re.release(m)
	d := dfa{m: m, seen: map[thread]struct{}{}}
	for pos := start; ; pos += re.charLen(subject, pos) {
		pos = re.nextStart(subject, pos, start)
		if pos < 0 {
			return nil, nil
		}
		end, err := d.longest(pos)
		if err != nil {
			return nil, err
		}
		if end >= 0 {
			return append(dst[:0], pos, end), nil
		}
		if re.anchored || pos >= len(subject) {
			return nil, nil
		}
	}
}

// thread is one path: the next instruction, and how far it is within a
// string or a loop.
type thread struct{ pc, n int32 }

type dfa struct {
	m         *machine
	now, next []thread
	seen      map[thread]struct{} // of the list being filled
	end       int
}

func (d *dfa) longest(pos int) (int, error) {
	m := d.m
	d.end = -1
	d.now = d.now[:0]
	clear(d.seen)
	if err := d.add(&d.now, thread{0, 0}, pos); err != nil {
		return 0, err
	}
	for len(d.now) > 0 && pos < len(m.s) {
		width := m.re.charLen(m.s, pos)
		d.next = d.next[:0]
		clear(d.seen)
		if err := m.worked(1 + len(d.now)); err != nil {
			return 0, err
		}
		for _, t := range d.now {
			to, ok := d.eat(t, pos, width)
			if !ok {
				continue
			}
			if err := d.add(&d.next, to, pos+width); err != nil {
				return 0, err
			}
		}
		d.now, d.next = d.next, d.now
		pos += width
	}
	return d.end, nil
}

// eat lets a thread take the character at pos.
func (d *dfa) eat(t thread, pos, width int) (thread, bool) {
	m, in := d.m, &d.m.prog[t.pc]
	switch in.op {
	case iString, iStringFold:
		at := int(t.n)
		if at+width > len(in.str) {
			return t, false
		}
		got := m.s[pos : pos+width]
		if in.op == iStringFold && !equalFoldASCII(got, in.str[at:at+width]) || in.op == iString && got != in.str[at:at+width] {
			return t, false
		}
		if at+width == len(in.str) {
			return thread{t.pc + 1, 0}, true
		}
		return thread{t.pc, t.n + int32(width)}, true
	case iLoop:
		if m.one(in.body, in, pos) != pos+width {
			return t, false
		}
		n := t.n + 1
		if in.max < 0 && n > in.min {
			n = in.min
		}
		return thread{t.pc, n}, true
	}
	return thread{t.pc + 1, 0}, m.one(in.op, in, pos) == pos+width
}

// add follows t through everything that takes no character.
func (d *dfa) add(list *[]thread, t thread, pos int) error {
	todo := []thread{t}
	for len(todo) > 0 {
		t = todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, old := d.seen[t]; old {
			continue
		}
		d.seen[t] = struct{}{}
		in := &d.m.prog[t.pc]
		next := thread{t.pc + 1, 0}
		switch in.op {
		case iMatch:
			d.end = max(d.end, pos)
		case iJump:
			todo = append(todo, thread{in.x, 0})
		case iSplit:
			todo = append(todo, thread{in.y, 0}, thread{in.x, 0})
		case iOpen, iClose, iMark, iCheck:
			todo = append(todo, next)
		case iAssert:
			if d.m.place(in.assert, pos) {
				todo = append(todo, next)
			}
		case iLook:
			pc, _, _, err := d.m.look(in, pos)
			d.m.undo(0)
			if err != nil {
				return err
			}
			if pc > 0 {
				todo = append(todo, thread{pc, 0})
			}
		case iLoop:
			if t.n >= in.min {
				todo = append(todo, next)
			}
			if in.max < 0 || t.n < in.max {
				*list = append(*list, t)
			}
		default:
			*list = append(*list, t)
		}
	}
	return nil
}

// check refuses a start outside the subject and, under "u", bad UTF-8.
func (re *Regexp) check(subject string, start int, lim Limits) error {
	if start < 0 || start > len(subject) {
		return &ExecError{ErrorBadOffset}
	}
	if re.utf && !lim.NoUTFCheck {
		if !utf8.ValidString(subject) {
			return &ExecError{ErrorBadUTF8}
		}
		if start < len(subject) && !utf8.RuneStart(subject[start]) {
			return &ExecError{ErrorBadUTF8Offset}
		}
	}
	return nil
}
