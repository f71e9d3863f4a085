package cachesync

import (
	"fmt"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/region"
)

// SyncStats is a snapshot of a Syncer.
type SyncStats struct {
	Region   string
	Class    string
	Links    []apply.Stats            // one per applier
	Log      changelog.TrimStats      // of this region's own home
	Wrong    int64                    // probes that found an older version than was written: must stay 0
	Nines    map[string]string        // share of probes found here, by horizon
	Proofs   map[string]region.Proof  // probes by region
	Compared map[string]ComparedStats // anti-entropy of this home, by region
}

// ComparedStats counts the records of this home that were compared with a region.
type ComparedStats struct {
	Looked     int64 // were there
	Older      int64 // than at home, and put right: must stay 0
	Unreadable int64 // and put right
	Failed     int64 // pieces that could not be written
	Unsure     int64 // found, but the home was read too long ago: left to the next time
}

// Stats tells how the Syncer is doing.
func (s *Syncer) Stats() SyncStats {
	out := SyncStats{
		Region: s.cfg.Region, Class: s.cfg.Class,
		Wrong: s.probes.wrong(), Nines: s.probes.nines(), Proofs: s.probes.proofs(),
	}
	for _, l := range s.links {
		for _, a := range l.all() {
			out.Links = append(out.Links, a.Stats())
		}
	}
	out.Compared = map[string]ComparedStats{}
	for _, r := range append(s.probes.peers.active(), s.probes.own) {
		c := &r.compared
		out.Compared[r.name] = ComparedStats{
			Looked: c.looked.Load(), Older: c.older.Load(), Unreadable: c.unreadable.Load(), Failed: c.failed.Load(), Unsure: c.unsure.Load(),
		}
	}
	if t := s.trimmed.Load(); t != nil {
		out.Log = *t
	}
	return out
}

// Ready tells why this region should not serve yet, or nil: every home's change log is being
// read, and a region in a list of regions has become active once.
func (s *Syncer) Ready() error {
	for _, l := range s.links {
		list := l.all()
		if len(list) == 0 {
			return fmt.Errorf("cachesync: home %s: not begun", l.home.Name)
		}
		for _, a := range list {
			if st := a.Stats(); !st.Connected {
				return fmt.Errorf("cachesync: home %s: its change log is not being read", l.home.Name)
			}
		}
	}
	if p := s.step.Load(); s.registry != nil && (p == nil || p.name != "") {
		return fmt.Errorf("cachesync: region %s is joining", s.cfg.Region)
	}
	return nil
}
