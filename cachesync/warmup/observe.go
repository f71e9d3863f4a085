package warmup

import (
	"context"
	"fmt"
	"time"
)

// Progress is a moment of a run.
type Progress struct {
	Set      string
	Pass     string // "" in the main pass, else what is being done
	Rows     int64  // since the beginning, resumed runs included
	Bad      int64
	Fraction float64       // of the source; < 0 = unknown
	Rate     float64       // rows a second, lately
	Left     time.Duration // < 0 = unknown
	Before   time.Time     // deadline, or zero
	Late     bool          // it will not be done in time
	Elapsed  time.Duration
	Regions  []RegionProgress
	End      *Result // at the end only
}

// RegionProgress is a region's part of it.
type RegionProgress struct {
	Name      string
	Written   int64 // stored or replaced
	Kept      int64 // as new or newer was there
	Missed    int64
	Evictions int64
	Limit     float64 // records a second allowed; 0 = no limit
}

// line is the progress in one line.
func (p Progress) line() string {
	s := fmt.Sprintf("%d rows", p.Rows)
	if p.Fraction >= 0 {
		s += fmt.Sprintf(" (%.1f %%)", 100*p.Fraction)
	}
	s += fmt.Sprintf(", %.0f/s", p.Rate)
	if p.Left >= 0 {
		s += fmt.Sprintf(", %s left", p.Left.Round(time.Second))
	}
	if p.Bad > 0 {
		s += fmt.Sprintf(", %d bad", p.Bad)
	}
	for _, r := range p.Regions {
		s += fmt.Sprintf("; %s %d", r.Name, r.Written+r.Kept)
		if r.Missed > 0 {
			s += fmt.Sprintf(" missed %d", r.Missed)
		}
		if r.Evictions > 0 {
			s += fmt.Sprintf(" evictions %d", r.Evictions)
		}
		if r.Limit > 0 {
			s += fmt.Sprintf(" limit %.0f/s", r.Limit)
		}
	}
	if p.Pass != "" {
		s += " [" + p.Pass + "]"
	}
	if p.Late {
		s += " WILL BE LATE for " + p.Before.Format("15:04:05")
	}
	return s
}

// speed smooths the rates; only observe changes it.
type speed struct {
	at          time.Time
	rows, units int64
	rowRate     float64
	unitRate    float64
}

// note takes the counts at now; about the last ten seconds count.
func (s *speed) note(now time.Time, rows, units int64) {
	if s.at.IsZero() {
		s.at, s.rows, s.units = now, rows, units
		return
	}
	d := now.Sub(s.at).Seconds()
	if d <= 0 {
		return
	}
	weight := min(1, max(0.1, d/10))
	if s.rowRate == 0 {
		weight = 1
	}
	s.rowRate += weight * (float64(rows-s.rows)/d - s.rowRate)
	s.unitRate += weight * (float64(units-s.units)/d - s.unitRate)
	s.at, s.rows, s.units = now, rows, units
}

// progress describes this moment.
func (r *run) progress() Progress {
	p := Progress{Set: r.cfg.Set, Fraction: -1, Left: -1, Before: r.cfg.Before, Elapsed: r.cfg.Clock().Sub(r.begin)}
	if pass, ok := r.pass.Load().(string); ok {
		p.Pass = pass
	}
	if r.ledger == nil {
		return p
	}
	c := r.ledger.totals()
	p.Rows, p.Bad = c.Rows, c.Bad
	r.speedMu.Lock()
	sp := r.speed
	r.speedMu.Unlock()
	p.Rate = sp.rowRate
	if total := r.size.Units; total > 0 {
		done := r.units.Load()
		p.Fraction = min(1, float64(done)/float64(total))
		if sp.unitRate > 0 && p.Pass == "" {
			p.Left = time.Duration(float64(max(0, total-done)) / sp.unitRate * float64(time.Second))
		}
	}
	for _, t := range r.targets {
		q := RegionProgress{Name: t.Name, Written: t.stored.Load() + t.replaced.Load(), Kept: t.kept.Load(), Missed: t.missed.Load(), Evictions: t.evictions.Load()}
		if l := float64(t.limit.Limit()); l < 1e12 {
			q.Limit = l
		}
		p.Regions = append(p.Regions, q)
	}
	p.Late = !p.Before.IsZero() && p.Left >= 0 && r.cfg.Clock().Add(p.Left).After(p.Before)
	return p
}

// observe saves the position, tells the watcher, and minds the deadline.
func (r *run) observe(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.cfg.Clock()
		r.speedMu.Lock()
		r.speed.note(now, r.ledger.totals().Rows, r.units.Load())
		r.speedMu.Unlock()
		if err := r.save(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("warm: position not saved", "err", err)
		}
		p := r.progress()
		if r.cfg.Watcher != nil {
			r.cfg.Watcher.Watch(p)
		}
		if r.cfg.Before.IsZero() || p.Pass != "" {
			continue
		}
		if !now.Before(r.cfg.Before) && !r.cfg.GoOn {
			stop(errDeadline)
			return
		}
		// The first seconds say little about the rest.
		if n < 3 {
			continue
		}
		r.forewarn(p)
	}
}

// forewarn raises the alarm once when the run will be late, and takes it back
// when it caught up well.
func (r *run) forewarn(p Progress) {
	end := r.cfg.Clock().Add(p.Left)
	switch {
	case p.Late && r.alarmed == "":
		r.alarmed = "will_be_late"
		msg := fmt.Sprintf("will be done at %s, %s late: %s", end.Format("15:04:05"), end.Sub(p.Before).Round(time.Second), p.line())
		r.cfg.Log.Warn("warm: " + msg)
		r.alarm(r.alarmed, msg)
	case p.Left >= 0 && r.alarmed != "" && end.Add(p.Left/10).Before(p.Before):
		r.alarmed = ""
		r.alarm("in_time_again", "will be done at "+end.Format("15:04:05")+" after all")
	}
}
