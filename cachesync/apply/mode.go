package apply

import "time"

// Mode is how an applier brings a bucket's changes into memcached.
type Mode uint8

// Modes, from near to far behind.
const (
	Set        Mode = iota // what was read is written at once
	Collapse               // gather what is there to be read, write the newest per key
	Invalidate             // gather; the newest per key becomes a tombstone, refilled on demand
)

// String is the mode's name.
func (m Mode) String() string { return [...]string{"set", "collapse", "invalidate", "?"}[m&3] }

// The lags at which a mode begins and, lower, ends: hysteresis both ways.
const (
	CollapseFrom   = 20 * time.Millisecond
	CollapseUntil  = 10 * time.Millisecond
	InvalidateFrom = 200 * time.Millisecond
	InvalidateTil  = 100 * time.Millisecond
	// Calm is how long the lag must stay below a mode's end before it ends.
	Calm = time.Second
)

// Situation is what modes depend on besides the lag.
type Situation struct {
	// AllClasses: regions of all three classes are there (joining counts). Only then may
	// a backlog be cut by deleting: while scaling in, refills would hit those who stay.
	AllClasses bool
	// Draining: a burst region is being drained.
	Draining bool
}

// invalidates says whether INVALIDATE is allowed.
func (s Situation) invalidates() bool { return s.AllClasses && !s.Draining }

// Modal decides the mode of one bucket. The zero Modal is in mode Set.
type Modal struct {
	mode Mode
	calm time.Time // since when the lag is below the mode's end; zero: it is not
}

// Mode is the mode now.
func (m *Modal) Mode() Mode { return m.mode }

// Next takes a measured lag and returns the mode from now on. What forbids INVALIDATE ends it
// at once; a fall of the lag only after it lasted for Calm.
func (m *Modal) Next(lag time.Duration, s Situation, now time.Time) Mode {
	allowed := s.invalidates()
	switch {
	case lag >= InvalidateFrom && allowed:
		m.mode, m.calm = Invalidate, time.Time{}
		return m.mode
	case m.mode == Invalidate && !allowed:
		m.mode, m.calm = Collapse, time.Time{}
		return m.mode
	case lag >= CollapseFrom && m.mode == Set:
		m.mode, m.calm = Collapse, time.Time{}
		return m.mode
	}
	until := CollapseUntil
	if m.mode == Invalidate {
		until = InvalidateTil
	}
	switch {
	case m.mode == Set:
	case lag >= until:
		m.calm = time.Time{}
	case m.calm.IsZero():
		m.calm = now
	case now.Sub(m.calm) >= Calm:
		m.mode, m.calm = m.mode-1, time.Time{}
	}
	return m.mode
}
