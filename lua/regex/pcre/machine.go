package pcre

import (
	"math"
	"unicode"
	"unicode/utf8"
)

// frameKind says what a backtracking point undoes or tries.
type frameKind int32

const (
	fBranch frameKind = iota // go on at pc with place a
	fAlt                     // the same, for the next branch of a group: where (*THEN) stops
	fGive                    // a greedy loop at pc: give characters back from b down to a
	fTake                    // a lazy loop at pc, at place a, b taken: take one more
	fCap                     // capture n was a..b
	fOpen                    // capture n began at a
	fMark                    // loop slot n was a
	fKeep                    // the match began at a
	fCommit                  // (*COMMIT)
	fPrune                   // (*PRUNE)
	fSkip                    // (*SKIP) at a
	fThen                    // (*THEN)
)

type frame struct {
	kind frameKind
	pc   int32 // or n
	a, b int32
}

const (
	maxFrames = 1 << 20 // of backtracking: 16 MiB
	maxNested = 5000    // subprograms within subprograms
	pollEvery = 1 << 16
)

// machine is the state of one search.
type machine struct {
	re      *Regexp
	prog    []inst
	s       string
	start   int // where the search began, for \G
	begin   int // where the match begins, for \K
	caps    []int32
	opens   []int32
	marks   []int32
	stack   []frame
	steps   int // since the search moved to this starting point
	total   int // before that
	limit   int
	work    int
	poll    Poller
	depth   int
	called  int32 // the group being called, 0 for none (its number + 1)
	stop    bool  // (*COMMIT) was backtracked onto
	skip    int   // (*SKIP) was
	abandon bool  // one of the verbs ended the run: no other choices
}

func (re *Regexp) machine(s string, start int, lim Limits) *machine {
	m, _ := re.machines.Get().(*machine)
	if m == nil {
		m = &machine{re: re, prog: re.prog, caps: make([]int32, 2*(re.ncap+1)),
			opens: make([]int32, re.ncap+1), marks: make([]int32, re.slots)}
	}
	m.s, m.start, m.poll = s, start, lim.Poller
	m.steps, m.total, m.work, m.depth, m.called, m.stop = 0, 0, 0, 0, 0, false
	m.limit = lim.Match
	if m.limit <= 0 {
		m.limit = defaultMatchLimit
	}
	if re.limit > 0 {
		m.limit = min(m.limit, re.limit)
	}
	return m
}

func (re *Regexp) release(m *machine) {
	m.s, m.poll = "", nil
	m.stack = m.stack[:0]
	if cap(m.stack) <= 4096 {
		re.machines.Put(m)
	}
}

// search tries to match at pos.
func (m *machine) search(pos int) (int, error) {
	if len(m.s) > math.MaxInt32-2 {
		return 0, &ExecError{ErrorBadOffset}
	}
	for i := range m.caps {
		m.caps[i] = -1
	}
	m.stack = m.stack[:0]
	m.begin, m.skip, m.abandon = pos, 0, false
	return m.run(0, pos, 0)
}

func (m *machine) result(dst []int, end int) []int {
	dst = dst[:0]
	dst = append(dst, m.begin, end)
	for _, c := range m.caps[2:] {
		dst = append(dst, int(c))
	}
	return dst
}

// count adds to the steps that the match limit counts, and to the work after
// which the caller is polled.
func (m *machine) count(steps, work int) error {
	m.steps += steps
	if m.steps > m.limit || m.total+m.steps > defaultMatchLimit {
		return &ExecError{ErrorMatchLimit}
	}
	return m.worked(work)
}

func (m *machine) worked(work int) error {
	m.work += work
	if m.work >= pollEvery {
		m.work = 0
		// A character looked at is cheaper than a step, but not free: without
		// a limit on it, .* on a long subject would escape the match limit.
		if m.poll != nil {
			return m.poll.Poll()
		}
	}
	return nil
}

func (m *machine) push(k frameKind, pc int32, a, b int32) error {
	if len(m.stack) >= maxFrames {
		return &ExecError{ErrorRecursionLimit}
	}
	m.stack = append(m.stack, frame{k, pc, a, b})
	return nil
}

// one matches the single character that op and in describe at pos and gives
// the place behind it, or -1.
func (m *machine) one(op instOp, in *inst, pos int) int {
	s := m.s
	if pos >= len(s) {
		return -1
	}
	b := s[pos]
	switch op {
	case iChar:
		if b == in.b {
			return pos + 1
		}
	case iCharFold:
		if lower(b) == in.b {
			return pos + 1
		}
	case iSet:
		if in.set.hasByte(b) {
			return pos + 1
		}
	case iAny:
		if b != '\n' {
			return pos + 1
		}
	case iAnyAll:
		return pos + 1
	case iAnyRune:
		if b != '\n' {
			return pos + m.re.charLen(s, pos)
		}
	case iAllRune:
		return pos + m.re.charLen(s, pos)
	case iRuneLit, iRuneFold, iRuneSet:
		r, n := utf8.DecodeRuneInString(s[pos:])
		if op == iRuneLit && r == in.r || op == iRuneFold && sameFold(r, in.r) || op == iRuneSet && in.set.hasRune(r) {
			return pos + n
		}
	}
	return -1
}

func sameFold(a, b rune) bool {
	if a == b {
		return true
	}
	for f := unicode.SimpleFold(a); f != a; f = unicode.SimpleFold(f) {
		if f == b {
			return true
		}
	}
	return false
}

// place tells whether an assertion holds at pos.
func (m *machine) place(k assertKind, pos int) bool {
	s := m.s
	switch k {
	case assertBOL:
		return pos == 0
	case assertBOLM:
		// Not behind a newline that ends the subject.
		return pos == 0 || s[pos-1] == '\n' && pos < len(s)
	case assertEOL:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case assertEOLM:
		return pos == len(s) || s[pos] == '\n'
	case assertEOT:
		return pos == len(s)
	case assertStart:
		return pos == m.start
	}
	before := pos > 0 && isWord(s[pos-1])
	after := pos < len(s) && isWord(s[pos])
	return (before != after) == (k == assertWord)
}

// back steps n characters back from pos, or gives -1.
func (m *machine) back(pos, n int) int {
	if !m.re.utf {
		if n > pos {
			return -1
		}
		return pos - n
	}
	for ; n > 0; n-- {
		if pos == 0 {
			return -1
		}
		pos--
		for pos > 0 && !utf8.RuneStart(m.s[pos]) {
			pos--
		}
	}
	return pos
}

// backref matches what one of the groups matched; an unset group fails.
func (m *machine) backref(in *inst, pos int) int {
	for _, g := range in.groups {
		from, to := m.caps[2*g], m.caps[2*g+1]
		if from < 0 {
			continue
		}
		ref := m.s[from:to]
		if !in.fold {
			if len(m.s)-pos >= len(ref) && m.s[pos:pos+len(ref)] == ref {
				return pos + len(ref)
			}
			return -1
		}
		return m.foldRef(ref, pos)
	}
	return -1
}

func (m *machine) foldRef(ref string, pos int) int {
	if !m.re.utf {
		if len(m.s)-pos < len(ref) {
			return -1
		}
		for i := range len(ref) {
			if lower(ref[i]) != lower(m.s[pos+i]) {
				return -1
			}
		}
		return pos + len(ref)
	}
	for _, r := range ref {
		if pos >= len(m.s) {
			return -1
		}
		q, n := utf8.DecodeRuneInString(m.s[pos:])
		if !sameFold(q, r) {
			return -1
		}
		pos += n
	}
	return pos
}
