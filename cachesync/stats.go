package cachesync

import (
	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
)

// SyncStats is a snapshot of a Syncer.
type SyncStats struct {
	Region string
	Class  string
	Links  []apply.Stats       // one per applier
	Log    changelog.TrimStats // of this region's own home
}

// Stats tells how the Syncer is doing.
func (s *Syncer) Stats() SyncStats {
	out := SyncStats{Region: s.cfg.Region, Class: s.cfg.Class}
	for _, l := range s.links {
		for _, a := range l.appliers {
			out.Links = append(out.Links, a.Stats())
		}
	}
	if t := s.trimmed.Load(); t != nil {
		out.Log = *t
	}
	return out
}
