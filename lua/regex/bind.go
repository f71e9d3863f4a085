package regex

import (
	"errors"
	"sync"

	"sluice/lua/regex/pcre"
	"sluice/lua/vm"
)

// Config is what ngx.re needs from the runtime.
type Config struct {
	// Cache holds what was compiled with the "o" option, for all VMs of the
	// process; zero value means that nothing is kept.
	Cache *Cache
	// MatchLimit is lua_regex_match_limit; zero value means PCRE's own default.
	MatchLimit int
	// Log receives the messages that nginx writes to its error log (level
	// error); zero value means they are dropped.
	Log func(t *vm.Thread, msg string)
}

// Install sets ngx.re in ngx: match, find, gmatch, sub, gsub.
func Install(ngx *vm.Table, c Config) {
	if c.Log == nil {
		c.Log = func(*vm.Thread, string) {}
	}
	b := &binding{Config: c, searches: sync.Pool{New: func() any { return new(search) }}}
	re := vm.NewTable(0, 8)
	for name, f := range map[string]vm.GoFunc{
		"match": b.match, "find": b.find, "gmatch": b.gmatch,
		"sub":  func(t *vm.Thread) int { return b.sub(t, false) },
		"gsub": func(t *vm.Thread) int { return b.sub(t, true) },
	} {
		re.SetStr(name, vm.NewFunc(name, f))
	}
	ngx.SetStr("re", re.Value())
}

type binding struct {
	Config
	searches sync.Pool
}

// flags are the options that are not the pattern's own.
type flags struct {
	once, longest, dup, noCheck, jit bool
}

func parseOptions(t *vm.Thread, i int) (o pcre.Options, f flags) {
	if !t.Arg(i).Truthy() {
		return o, f
	}
	opts := t.CheckString(i)
	for n := range len(opts) {
		switch opts[n] {
		case 'o':
			f.once = true
		case 'j':
			// There is one engine only, but limits are meant for another count.
			f.jit = true
		case 'i':
			o.Fold = true
		case 's':
			o.DotAll = true
		case 'm':
			o.Multi = true
		case 'u':
			o.UTF = true
		case 'U':
			o.UTF = true
			f.noCheck = true
		case 'x':
			o.Extended = true
		case 'd':
			f.longest = true
		case 'a':
			o.Anchored = true
		case 'D':
			o.DupNames = true
			f.dup = true
		case 'J':
			o.JS = true
		default:
			t.Errorf(`unknown flag "%s" (flags "%s")`, opts[n:n+1], opts)
		}
	}
	return o, f
}

// search is one compiled pattern with one subject.
type search struct {
	t       *vm.Thread // that waits for it
	re      *compiled
	flags   flags
	subject string
	caps    []int
	found   bool
	lim     pcre.Limits
}

// begin reads subject, pattern and options (at i); err is for the script.
func (b *binding) begin(t *vm.Thread, i int) (*search, error) {
	subject := textOf(t, 1)
	pattern := t.CheckString(2)
	o, f := parseOptions(t, i)
	re, err := b.Cache.compile(pattern, o, f.once)
	if err != nil {
		return nil, err
	}
	s := b.searches.Get().(*search)
	s.re, s.flags, s.subject, s.t = re, f, subject, t
	limit := b.MatchLimit
	if f.jit {
		// PCRE's compiled code counts one step where its interpreter counts two
		// to four; upstream's tests expect 3.6.
		limit = limit * 18 / 5
	}
	s.lim = pcre.Limits{Match: limit, NoUTFCheck: f.noCheck, Poller: s}
	return s, nil
}

// Poll counts against the instructions and looks at the deadline.
func (s *search) Poll() error {
	s.t.State().ChargeInstructions(s.t, searchCost)
	return nil
}

// end gives the search back for the next one.
func (b *binding) end(s *search) {
	*s = search{caps: s.caps[:0]}
	b.searches.Put(s)
}

// searchCost is what a stretch of searching, between two polls, weighs in
// instructions of the VM.
const searchCost = 20000

// textOf is tostring of an argument.
func textOf(t *vm.Thread, i int) string {
	v := t.Arg(i)
	if s, ok := v.AsString(); ok {
		return s
	}
	return t.ToString(v)
}

// find searches from pos; found says whether something matches.
func (s *search) find(pos int) (err error) {
	var caps []int
	if s.flags.longest {
		caps, err = s.re.FindLongest(s.subject, pos, s.caps, s.lim)
	} else {
		caps, err = s.re.Find(s.subject, pos, s.caps, s.lim)
	}
	s.found = caps != nil
	if s.found {
		s.caps = caps
	}
	// One check of the subject is enough.
	s.lim.NoUTFCheck = s.lim.NoUTFCheck || err == nil
	return err
}

// after is where to search on behind this match, -1 at the end.
func (s *search) after() int {
	pos := s.caps[1]
	if s.caps[0] == s.caps[1] {
		pos++
	}
	if pos > len(s.subject) || s.caps[1] < s.caps[0] {
		return -1
	}
	return pos
}

// results fills a table with the captures: false for what took no part.
func (s *search) results(res *vm.Table) *vm.Table {
	groups := s.re.NumCaptures()
	if s.flags.longest {
		groups = 0
	}
	if res == nil {
		res = vm.NewTable(groups, 1+len(s.re.names))
	}
	for i := 0; i <= groups; i++ {
		v := vm.False
		if from := s.caps[2*i]; from >= 0 {
			v = s.t.Substring(s.subject, from, max(from, s.caps[2*i+1]))
		}
		res.SetInt(i, v)
	}
	for _, n := range s.re.names {
		cap := res.GetInt(n.Group)
		if !s.flags.dup {
			res.SetStr(n.Name, cap)
			continue
		}
		if !cap.Truthy() {
			continue
		}
		if old := res.GetStr(n.Name).AsTable(); old != nil {
			old.SetInt(old.Len()+1, cap)
		} else {
			all := vm.NewTable(1, 0)
			all.SetInt(1, cap)
			res.SetStr(n.Name, all.Value())
		}
	}
	return res
}

// startPos reads ctx.pos.
func startPos(t *vm.Thread, ctx vm.Value) int {
	if !ctx.Truthy() {
		return 0
	}
	n, ok := t.Index(ctx, vm.String("pos")).ToNumber()
	if !ok || n <= 0 || n != n {
		return 0
	}
	return int(min(n, 1<<31)) - 1
}

func (b *binding) match(t *vm.Thread) int {
	s, err := b.begin(t, 3)
	if err != nil {
		return fail(t, 1, err)
	}
	defer b.end(s)
	ctx, res := t.Arg(4), t.Arg(5).AsTable()
	if err := s.find(startPos(t, ctx)); err != nil {
		return fail(t, 1, err)
	}
	if !s.found {
		t.PushNil()
		return 1
	}
	if ctx.Truthy() {
		t.SetIndex(ctx, vm.String("pos"), vm.Int(s.caps[1]+1))
	}
	t.State().Charge(t, int64(80*(1+s.re.NumCaptures())))
	t.Push(s.results(res).Value())
	return 1
}

func (b *binding) find(t *vm.Thread) int {
	s, err := b.begin(t, 3)
	if err != nil {
		return fail(t, 2, err)
	}
	defer b.end(s)
	ctx := t.Arg(4)
	nth := 0
	if !t.Arg(5).IsNil() {
		nth = max(0, t.CheckInt(5))
	}
	if err := s.find(startPos(t, ctx)); err != nil {
		return fail(t, 2, err)
	}
	if !s.found {
		t.PushNil()
		return 1
	}
	if ctx.Truthy() {
		t.SetIndex(ctx, vm.String("pos"), vm.Int(s.caps[1]+1))
	}
	if nth > s.re.NumCaptures() || s.flags.longest && nth > 0 {
		return fail(t, 2, errors.New("nth out of bound"))
	}
	if s.caps[2*nth] < 0 {
		t.PushNil()
		t.PushNil()
		return 2
	}
	from, to := s.caps[2*nth]+1, s.caps[2*nth+1]
	t.PushNumber(float64(from))
	t.PushNumber(float64(to))
	return 2
}

// fail answers so many nils, then the error.
func fail(t *vm.Thread, nils int, err error) int {
	for range nils {
		t.PushNil()
	}
	t.PushString(err.Error())
	return nils + 1
}

func (b *binding) gmatch(t *vm.Thread) int {
	s, err := b.begin(t, 3)
	if err != nil {
		return fail(t, 1, err)
	}
	pos := 0
	t.Push(vm.NewClosure("gmatch_iterator", func(t *vm.Thread) int {
		if pos < 0 {
			t.PushNil()
			return 1
		}
		s.t = t
		err := s.find(pos)
		s.t = nil
		if err != nil {
			pos = -1
			return fail(t, 1, err)
		}
		if !s.found {
			pos = -1
			t.PushNil()
			return 1
		}
		pos = s.after()
		t.State().Charge(t, int64(80*(1+s.re.NumCaptures())))
		t.Push(s.results(nil).Value())
		return 1
	}, vm.String(s.subject)))
	return 1
}

// sub replaces the first match, or all.
func (b *binding) sub(t *vm.Thread, global bool) int {
	s, err := b.begin(t, 4)
	if err != nil {
		return fail(t, 2, err)
	}
	defer b.end(s)
	replace := t.Arg(3)
	var tmpl template
	isFunc := replace.Type() == vm.TypeFunction
	if !isFunc {
		if tmpl, err = parseTemplate(textOf(t, 3)); err != nil {
			b.Log(t, err.Error())
			return fail(t, 2, errTemplate)
		}
	}
	var out []byte
	count, done, next := 0, 0, chargeFirst
	account := func(out []byte) {
		if n := len(out); n >= next {
			t.State().Charge(t, int64(n))
			next = 2 * n
		}
	}
	for pos := 0; pos >= 0; pos = s.after() {
		if err := s.find(pos); err != nil {
			return fail(t, 2, err)
		}
		if !s.found {
			break
		}
		count++
		if s.caps[0] > done {
			out = append(out, s.subject[done:s.caps[0]]...)
		}
		if isFunc {
			out = append(out, callback(t, replace, s.results(nil))...)
		} else {
			out = tmpl.expand(out, s.subject, s.caps, account)
		}
		done = s.caps[1]
		account(out)
		if !global {
			break
		}
	}
	if count == 0 {
		t.Push(vm.String(s.subject))
		t.PushNumber(0)
		return 2
	}
	out = append(out, s.subject[done:]...)
	t.State().Charge(t, int64(len(out)))
	t.Push(vm.String(string(out)))
	t.PushNumber(float64(count))
	return 2
}

// chargeFirst is when output is charged to the budget for the first time;
// then each time it has doubled, always the whole of it, because the machine
// cannot see it yet when it counts what the script holds.
const chargeFirst = 16 << 10

// callback calls the replacement function and gives tostring of its answer.
func callback(t *vm.Thread, f vm.Value, m *vm.Table) string {
	got := vm.Nil
	if vals := t.MustCall(f, m.Value()); len(vals) > 0 {
		got = vals[0]
	}
	if s, ok := got.AsString(); ok {
		return s
	}
	return t.ToString(got)
}
