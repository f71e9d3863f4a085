package pcre

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// Options are PCRE's compile options that ngx.re offers.
type Options struct {
	Fold     bool // i
	Multi    bool // m
	DotAll   bool // s
	Extended bool // x
	Anchored bool // a
	UTF      bool // u, U
	DupNames bool // D
	JS       bool // J
}

// Regexp is a compiled pattern.
type Regexp struct {
	prog      []inst
	ncap      int
	slots     int
	names     []groupName
	utf       bool
	anchored  bool
	lineStart bool // matches begin at line starts only
	prefix    string
	first     *set // bytes a match can begin with, nil when all can
	minLen    int
	req       byte // every match contains it, when hasReq
	reqFold   bool // or its upper case
	hasReq    bool
	limit     int // the pattern's own match limit
	dfa       bool
	machines  sync.Pool
}

// Name is an entry of the name table, sorted by name.
type Name struct {
	Name  string
	Group int
}

// Poller can end a search that takes long.
type Poller interface{ Poll() error }

// Limits bound one search.
type Limits struct {
	// Match is PCRE's match limit; zero value means its default, ten million.
	Match int
	// Poller is asked now and then during long searches; its error ends the
	// search and is returned. Zero value means never.
	Poller Poller
	// NoUTFCheck trusts the subject to be UTF-8.
	NoUTFCheck bool
}

const defaultMatchLimit = 10_000_000

// Codes of ExecError, PCRE's numbers.
const (
	ErrorMatchLimit     = -8
	ErrorBadUTF8        = -10
	ErrorBadUTF8Offset  = -11
	ErrorDFAItem        = -16
	ErrorRecursionLimit = -21
	ErrorBadOffset      = -24
)

// ExecError is a search that could not be done.
type ExecError struct{ Code int }

func (e *ExecError) Error() string { return fmt.Sprintf("pcre_exec() failed: %d", e.Code) }

// Compile reads a pattern; the error is a *CompileError.
func Compile(pattern string, o Options) (re *Regexp, err error) {
	p := &parser{src: pattern, utf: o.UTF, js: o.JS, syn: syntax{
		fold: o.Fold, multi: o.Multi, dotall: o.DotAll, extended: o.Extended, dup: o.DupNames,
	}}
	defer func() {
		if r := recover(); r != nil {
			ce, ok := r.(*CompileError)
			if !ok {
				panic(r)
			}
			re, err = nil, ce
		}
	}()
	tree := p.parse()
	c := &compiler{p: p, groups: map[int]int32{}}
	c.node(tree)
	c.emit(inst{op: iMatch})
	c.possess()
	re = &Regexp{
		prog: c.prog, ncap: p.ncap, slots: c.slots, names: p.names, utf: p.utf, limit: p.limit,
		anchored: o.Anchored || anchored(tree), minLen: minLength(tree, 0), dfa: true,
	}
	for i := range re.prog {
		in := &re.prog[i]
		switch in.op {
		case iCall:
			in.x = c.groups[int(in.n)]
			re.dfa = false
		case iIfGroup, iIfCall, iVerb, iAtomic:
			re.dfa = false
		}
	}
	re.start(c, tree)
	return re, nil
}

// start finds out where matches can begin.
func (re *Regexp) start(c *compiler, tree *node) {
	if c.p.hasVerb {
		return
	}
	if dotStar(tree, true) {
		re.anchored = true
	}
	re.lineStart = dotStar(tree, false)
	re.prefix = c.prefix(tree)
	re.req, re.reqFold, re.hasReq = c.required(tree)
	first := &set{}
	if c.firstBytes(tree, first) && first.low != [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} {
		re.first = first
	}
}

// NumCaptures is how many groups capture.
func (re *Regexp) NumCaptures() int { return re.ncap }

// Names gives the named groups, sorted by name.
func (re *Regexp) Names() []Name {
	names := make([]Name, len(re.names))
	for i, n := range re.names {
		names[i] = Name{n.name, n.n}
	}
	return names
}

// errNoMatch ends a run; it never leaves the package.
var errNoMatch = errors.New("no match")

// Find searches subject from start on. It returns the places of the match
// and of every group, two numbers each, -1 for what took no part; nil when
// nothing matches. dst is used when it has room.
func (re *Regexp) Find(subject string, start int, dst []int, lim Limits) ([]int, error) {
	if err := re.check(subject, start, lim); err != nil {
		return nil, err
	}
	last := re.lastStart(subject)
	if last < start {
		return nil, nil
	}
	m := re.machine(subject, start, lim)
	defer re.release(m)
	for pos := start; ; {
		pos = re.nextStart(subject, pos, start)
		if pos < 0 || pos > last {
			return nil, nil
		}
		m.total += m.steps
		m.steps = 0 // PCRE counts for each starting point anew
		if err := m.count(2, 1); err != nil {
			return nil, err
		}
		end, err := m.search(pos)
		if err == nil {
			return m.result(dst, end), nil
		}
		if err != errNoMatch {
			return nil, err
		}
		if m.stop || re.anchored {
			return nil, nil
		}
		if m.skip > pos {
			pos = m.skip
			continue
		}
		if pos >= len(subject) {
			return nil, nil
		}
		pos += re.charLen(subject, pos)
	}
}

func (re *Regexp) charLen(s string, pos int) int {
	if !re.utf || s[pos] < 0x80 {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s[pos:])
	return n
}

// lastStart is the last place where a match may begin, -1 if there is none.
func (re *Regexp) lastStart(s string) int {
	if !re.hasReq {
		return len(s)
	}
	last := strings.LastIndexByte(s, re.req)
	if re.reqFold {
		last = max(last, strings.LastIndexByte(s, re.req-32))
	}
	return last
}

// nextStart gives the next place from pos on where a match may begin, or -1.
func (re *Regexp) nextStart(s string, pos, start int) int {
	if len(s)-pos < re.minLen {
		return -1
	}
	if re.anchored {
		return pos
	}
	if re.lineStart {
		if pos > start && s[pos-1] != '\n' {
			i := strings.IndexByte(s[pos:], '\n')
			if i < 0 {
				return -1
			}
			pos += i + 1
		}
		return pos
	}
	switch {
	case re.prefix != "":
		i := strings.Index(s[pos:], re.prefix)
		if i < 0 {
			return -1
		}
		return pos + i
	case re.first != nil:
		for pos < len(s) {
			if re.first.hasByte(s[pos]) {
				return pos
			}
			pos++
		}
		return -1
	}
	return pos
}
