package vm

import (
	"math"
	"time"
)

// Budget limits what runs in a state from SetBudget on; zero fields mean unlimited.
type Budget struct {
	Instructions int64
	MemoryBytes  int64 // what the scripts hold, by the machine's own estimate
	FreeBytes    int64 // of MemoryBytes, what Options.Grant need not be asked for; zero means all
	Deadline     time.Time
}

// BudgetError is a breach; no pcall catches it.
type BudgetError struct {
	Kind      string // "instructions", "wall time", "memory"
	Where     string // "file:line"
	Traceback string
}

func (e *BudgetError) Error() string {
	return e.Where + ": " + e.Kind + " budget used up"
}

const (
	unlimited = math.MaxInt64 / 4
	// clockEvery is how many instructions pass between two looks at the clock.
	clockEvery = 10000
	// atOnce as a limit has execute look at the next occasion.
	atOnce = math.MinInt64
)

// Meter is a budget and what has been used of it. A state counts on one meter
// at a time; where several flows of control share a state, each has its own.
type Meter struct{ meter }

type meter struct {
	exec     int64 // instructions so far
	mem      int64 // bytes charged, less what a recount found dead
	maxExec  int64
	memLimit int64 // granted so far
	memMax   int64 // what may be granted
	deadline time.Time
}

// NewMeter counts from zero.
func NewMeter(b Budget) Meter {
	m := Meter{meter{maxExec: unlimited, memLimit: unlimited, memMax: unlimited, deadline: b.Deadline}}
	if b.Instructions > 0 {
		m.maxExec = b.Instructions
	}
	if b.MemoryBytes > 0 {
		m.memLimit, m.memMax = b.MemoryBytes, b.MemoryBytes
	}
	if b.FreeBytes > 0 {
		m.memLimit = min(m.memLimit, b.FreeBytes)
	}
	return m
}

// Instructions used so far.
func (m *Meter) Instructions() int64 { return m.exec }

// Memory is the estimate the memory budget is held against.
func (m *Meter) Memory() int64 { return m.mem }

// SetBudget starts counting from zero.
func (s *State) SetBudget(b Budget) {
	s.meter = NewMeter(b).meter
	s.intErr.Store(nil)
	s.armLimit()
}

// LoadMeter makes the state count on from where m stands.
func (s *State) LoadMeter(m *Meter) {
	s.meter = m.meter
	s.armLimit()
}

// SaveMeter writes down where the state stands.
func (s *State) SaveMeter(m *Meter) { m.meter = s.meter }

// armLimit sets the count at which execute looks up.
func (s *State) armLimit() {
	l := s.maxExec
	if !s.deadline.IsZero() || s.opts.OnLook != nil {
		l = min(l, s.exec+clockEvery)
	}
	s.check = l
	s.limit.Store(l)
	if s.intErr.Load() != nil { // an interrupt came in between
		s.limit.Store(atOnce)
	}
}

// InstructionsUsed since SetBudget.
func (s *State) InstructionsUsed() int64 { return s.exec }

// MemoryUsed is the estimate the memory budget is held against.
func (s *State) MemoryUsed() int64 { return s.mem }

// Charge accounts bytes that a Go function allocates for a script. A breach does not return.
func (s *State) Charge(t *Thread, bytes int64) { t.charge(bytes) }

// ChargeInstructions accounts work that a Go function does for a script. A breach does not return.
func (s *State) ChargeInstructions(t *Thread, n int64) { t.work(n) }

// Interrupt ends what runs in the state with err, from any goroutine; no pcall catches it.
func (s *State) Interrupt(err error) {
	s.intErr.Store(&err)
	s.limit.Store(atOnce)
}

// Poke has execute look up at the next occasion, from any goroutine: between
// two calls of builtins, however few instructions those are.
func (s *State) Poke() { s.limit.Store(atOnce) }

func (s *State) charge(bytes int64) { s.mem += bytes }

// charge accounts memory on behalf of t and ends the run at a breach.
func (t *Thread) charge(bytes int64) {
	s := t.state
	s.mem += bytes
	if s.mem > s.memLimit && (s.memLimit >= uncounted || !t.granted()) {
		t.recount(bytes)
	}
}

// uncounted is how much a run is granted before what it holds is counted: only then does garbage
// weigh, and it keeps nobody else from what he needs.
const uncounted = 8 << 20

// granted asks for more memory, twice what there was at a time, and reports
// whether that is enough.
func (t *Thread) granted() bool {
	s := t.state
	if s.memLimit >= s.memMax || s.opts.Grant == nil {
		return false
	}
	more := min(max(2*s.memLimit, s.mem), s.memMax) - s.memLimit
	if !s.opts.Grant(t, more) {
		return false
	}
	s.memLimit += more
	return s.mem <= s.memLimit
}

// work accounts n instructions' worth of a builtin's time.
func (t *Thread) work(n int64) {
	s := t.state
	s.exec += n
	if l := s.limit.Load(); s.exec >= l && (l != atOnce || s.exec >= s.check || s.intErr.Load() != nil) {
		t.checkLimit()
		if s.opts.OnLook != nil { // not in the middle of a builtin: execute does it
			s.limit.Store(atOnce)
		}
	}
}

// pace is work in the middle of a builtin that another flow of control may
// interrupt: one that holds nothing but strings and whole tables.
func (t *Thread) pace(n int64) {
	s := t.state
	s.exec += n
	if s.exec >= s.limit.Load() {
		t.look()
	}
}

// checkLimit is called when exec has reached limit.
func (t *Thread) checkLimit() {
	s := t.state
	if e := s.intErr.Load(); e != nil {
		s.dirty = true
		t.Abort(*e)
	}
	if s.exec >= s.maxExec {
		t.breach("instructions")
	}
	if !s.deadline.IsZero() && !s.now().Before(s.deadline) {
		t.breach("wall time")
	}
	s.armLimit()
}

// look is checkLimit between two instructions, where another flow of control
// may have the state for a while.
func (t *Thread) look() {
	t.checkLimit()
	if f := t.state.opts.OnLook; f != nil {
		f(t)
	}
}

func (t *Thread) breach(kind string) {
	t.state.dirty = true
	t.Abort(&BudgetError{Kind: kind, Where: t.whereNow(), Traceback: t.Traceback("")})
}
