package cachesync

import (
	"fmt"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/region"
)

// SyncStats is a snapshot of a Syncer.
type SyncStats struct {
	Region string
	Class  string
	Links  []apply.Stats           // one per applier
	Log    changelog.TrimStats     // of this region's own home
	Wrong  int64                   // probes that found an older version than was written: must stay 0
	Nines  map[string]string       // share of probes found here, by horizon
	Proofs map[string]region.Proof // probes by region
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
