package vm

import (
	"math"
	"time"
)

// Budget limits what runs in a state from SetBudget on; zero fields mean unlimited.
type Budget struct {
	Instructions int64
	MemoryBytes  int64 // what the scripts hold, by the machine's own estimate
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
)

// SetBudget starts counting from zero.
func (s *State) SetBudget(b Budget) {
	s.exec, s.mem = 0, 0
	s.maxExec, s.memLimit, s.deadline = unlimited, unlimited, b.Deadline
	if b.Instructions > 0 {
		s.maxExec = b.Instructions
	}
	if b.MemoryBytes > 0 {
		s.memLimit = b.MemoryBytes
	}
	s.intErr.Store(nil)
	s.armLimit()
}

// armLimit sets the count at which execute looks up.
func (s *State) armLimit() {
	l := s.maxExec
	if !s.deadline.IsZero() {
		l = min(l, s.exec+clockEvery)
	}
	s.limit.Store(l)
	if s.intErr.Load() != nil { // an interrupt came in between
		s.limit.Store(math.MinInt64)
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
	s.limit.Store(math.MinInt64)
}

func (s *State) charge(bytes int64) { s.mem += bytes }

// charge accounts memory on behalf of t and ends the run at a breach.
func (t *Thread) charge(bytes int64) {
	s := t.state
	s.mem += bytes
	if s.mem > s.memLimit {
		t.recount(bytes)
	}
}

// work accounts n instructions' worth of a builtin's time.
func (t *Thread) work(n int64) {
	s := t.state
	s.exec += n
	if s.exec >= s.limit.Load() {
		t.checkLimit()
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

func (t *Thread) breach(kind string) {
	t.state.dirty = true
	t.Abort(&BudgetError{Kind: kind, Where: t.whereNow(), Traceback: t.Traceback("")})
}
