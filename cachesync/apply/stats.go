package apply

import "time"

// Stats is a snapshot of one Applier.
type Stats struct {
	Source    string
	Connected bool
	Settled   bool          // read to the end of the log since it began, or was rewound, without a gap
	Heard     time.Time     // last heartbeat
	Floor     time.Duration // the link's own minimum: the way plus the difference of clocks

	Lag                        time.Duration // of the oldest change not yet written
	LagP50, LagP99, LagMax     time.Duration // of what was written lately; Max: ever
	Modes                      [3]int        // buckets in SET, COLLAPSE, INVALIDATE
	Entries, Changes           int64         // read
	Duplicates, GapsSeen, Gaps int64
	Repairs, Malformed         int64
	Late, Invalidated, Hot     int64
	Backlog, BacklogBytes      int64 // read and not yet written
	ReadErrors, WriteErrors    int64
	SaveErrors, AckErrors      int64
	Refused, FullWaits         int64
	BytesRead                  int64
	Counts                     Counts
	Repairing                  int // buckets
}

// Stats tells how the Applier is doing.
func (a *Applier) Stats() Stats {
	now := a.cfg.Now()
	s := &a.stats
	out := Stats{
		Source: a.cfg.Source, Connected: s.connected.Load(), Heard: a.clock.heard(),
		Floor:   time.Duration(a.clock.floor()) * time.Millisecond,
		Entries: s.entries.Load(), Changes: s.changes.Load(), Duplicates: s.duplicates.Load(),
		GapsSeen: s.gapsSeen.Load(), Gaps: s.gaps.Load(), Repairs: s.repairs.Load(), Malformed: s.malformed.Load(),
		Late: s.late.Load(), Invalidated: s.invalidated.Load(), Hot: s.hot.Load(),
		ReadErrors: s.readErrors.Load(), WriteErrors: s.writeErrors.Load(), SaveErrors: s.saveErrors.Load(),
		AckErrors: s.ackErrors.Load(), Refused: s.refused.Load(), FullWaits: s.fullWaits.Load(),
	}
	if r, ok := a.cfg.Reader.(interface{ BytesRead() int64 }); ok {
		out.BytesRead = r.BytesRead()
	}
	s.mu.Lock()
	out.LagP50, out.LagP99, out.LagMax = s.lags.quantile(50), s.lags.quantile(99), s.lags.max
	out.Counts = s.counts
	s.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	out.Settled = a.settled
	out.Backlog, out.BacklogBytes = int64(len(a.cur.writes)), int64(a.cur.bytes)
	for _, l := range a.parked {
		out.Backlog, out.BacklogBytes = out.Backlog+int64(len(l.writes)), out.BacklogBytes+int64(l.bytes)
	}
	for i := range a.modes {
		out.Modes[a.modes[i].Mode()]++
		if ms := a.cur.oldest[i]; ms != 0 {
			out.Lag = max(out.Lag, a.clock.lag(ms, now))
		}
		if a.holding[i] {
			out.Repairing++
		}
	}
	if !out.Heard.IsZero() {
		out.Lag = max(out.Lag, now.Sub(out.Heard)-beatEvery)
	}
	return out
}

// beatEvery is how often homes write heartbeats.
const beatEvery = 100 * time.Millisecond
