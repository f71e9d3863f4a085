package cachesync

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/cachesync/apply"
	"sluice/cachesync/region"
)

// Collector shows a Syncer to Prometheus. Labels are homes, modes and horizons only.
type Collector struct{ s *Syncer }

// NewCollector makes a Collector; register it where the process' metrics are.
func NewCollector(s *Syncer) *Collector { return &Collector{s} }

var (
	descLag      = desc("lag_seconds", "Age of the oldest change not yet written, beyond the link's own minimum.", "home", "quantile")
	descModes    = desc("buckets_in_mode", "Buckets in each mode of applying.", "home", "mode")
	descUp       = desc("link_up", "1 while the home's change log is being read.", "home")
	descChanges  = desc("changes_total", "Changes read from the home's log.", "home")
	descEvents   = desc("events_total", "Gaps, duplicates, conflicts and the like.", "home", "event")
	descBacklog  = desc("backlog_records", "Changes read and not yet written.", "home")
	descBytes    = desc("link_bytes_total", "Bytes read over the private line.", "home")
	descProbes   = desc("probes_total", "Writes read back in a region, by horizon.", "region", "horizon", "result")
	descAgain    = desc("again_total", "Records of the own home that anti-entropy looked at, emitted, found changing, or found in a bucket that is shut.", "what")
	descEntries  = desc("log_entries", "Entries in this home's change logs.")
	descWrong    = desc("probes_wrong_total", "Probes that found an older version than was written: must stay 0.")
	descLogBytes = desc("log_bytes", "Memory of this home's change logs.")
	descCapped   = desc("log_capped_total", "Entries removed by the memory cap: a region will have to join again.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_sync_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	st := c.s.Stats()
	for _, l := range st.Links {
		gauge(descLag, l.Lag.Seconds(), l.Source, "now")
		gauge(descLag, l.LagP50.Seconds(), l.Source, "0.5")
		gauge(descLag, l.LagP99.Seconds(), l.Source, "0.99")
		gauge(descLag, l.LagMax.Seconds(), l.Source, "1")
		for m, n := range l.Modes {
			gauge(descModes, float64(n), l.Source, apply.Mode(m).String())
		}
		up := 0.0
		if l.Connected {
			up = 1
		}
		gauge(descUp, up, l.Source)
		gauge(descBacklog, float64(l.Backlog), l.Source)
		counter(descChanges, l.Changes, l.Source)
		counter(descBytes, l.BytesRead, l.Source)
		for event, n := range map[string]int64{
			"gap": l.Gaps, "duplicate": l.Duplicates, "conflict": l.Counts.Conflicts, "repair": l.Repairs,
			"malformed": l.Malformed, "late": l.Late, "invalidated": l.Invalidated, "hot": l.Hot,
			"refused": l.Refused, "withdrawn": l.Counts.Withdrawn, "read_error": l.ReadErrors,
			"write_error": l.WriteErrors, "kept": l.Counts.Kept, "stored": l.Counts.Stored, "foreign": l.Counts.Repaired,
			"again_equal": l.Counts.AgainEqual, "again_missing": l.Counts.AgainMissing, "again_older": l.Counts.AgainOlder,
		} {
			counter(descEvents, n, l.Source, event)
		}
	}
	g := c.s.again
	for what, n := range map[string]int64{"looked": g.looked.Load(), "emitted": g.emitted.Load(), "moved": g.moved.Load(), "shut": g.shut.Load(), "rounds": g.rounds.Load()} {
		counter(descAgain, n, what)
	}
	for name, proof := range st.Proofs {
		for i, seen := range proof {
			for result, n := range map[string]int64{
				"found": seen.Found, "missing": seen.Missing, "older": seen.Older, "unreachable": seen.Unreachable,
			} {
				counter(descProbes, n, name, region.Horizons[i], result)
			}
		}
	}
	counter(descWrong, st.Wrong)
	gauge(descLogBytes, float64(st.Log.Bytes))
	gauge(descEntries, float64(st.Log.Entries))
	counter(descCapped, st.Log.Capped)
}
