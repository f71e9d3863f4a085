package apply

import (
	"time"

	"sluice/cachesync/changelog"
)

// Stepper drives an Applier by hand, without goroutines, network or waiting: it is how the
// deterministic simulator runs the very code that Run runs.
type Stepper struct {
	a           *Applier
	turn, spare *pending
}

// NewStepper makes an Applier that begins at these positions. Config.Now must be given.
func NewStepper(cfg Config, at map[int]changelog.ID) *Stepper {
	a := New(cfg)
	for i, b := range cfg.Buckets {
		a.read[i], a.applied[i] = at[b], at[b]
	}
	a.begin()
	return &Stepper{a: a, spare: newPending(len(cfg.Buckets))}
}

// From is the position a read must ask behind; the read then hands its entries to Entry.
func (s *Stepper) From(bucket int) changelog.ID {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.beforeRead()
	return s.a.read[s.a.place[bucket]]
}

// Entry takes an entry that was read.
func (s *Stepper) Entry(bucket int, e *changelog.Entry) { s.a.Entry(bucket, e) }

// ReadDone ends a read that was sent at a time; more says that not all came.
func (s *Stepper) ReadDone(sent time.Time, more bool, err error) { s.a.readDone(sent, more, err) }

// Turn gives the writes to be done now, none when it is not time. Done must follow when
// they are written; a Stepper that is dropped instead has crashed.
func (s *Stepper) Turn() []Write {
	p := s.a.tryTake(s.spare)
	if p == nil {
		return nil
	}
	s.a.transform(p, 0, len(p.writes), s.a.cfg.Now())
	s.turn = p
	if p.writes == nil {
		return []Write{} // only positions move on
	}
	return p.writes
}

// Done counts the turn as written.
func (s *Stepper) Done() {
	s.a.done(s.turn)
	s.turn.reset()
	s.spare, s.turn = s.turn, nil
}

// Applied is what may be saved now.
func (s *Stepper) Applied() map[int]changelog.ID {
	s.a.mu.Lock()
	s.a.remember(s.a.cfg.Now())
	s.a.mu.Unlock()
	return s.a.Applied()
}

// Written is how far the changes are written.
func (s *Stepper) Written() map[int]changelog.ID { return s.a.Written() }

// Rewind repeats the changes of the last seconds.
func (s *Stepper) Rewind() { s.a.Rewind() }

// Gap reports whether changes turned out to be gone.
func (s *Stepper) Gap() bool {
	select {
	case <-s.a.fixes:
		return true
	default:
		return false
	}
}
