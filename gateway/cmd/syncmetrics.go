package cmd

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/cachesync"
)

// syncCollector exports what the syncer measures of each home's link.
type syncCollector struct{ syncer *cachesync.Syncer }

var (
	syncConnected = describe("sluice_sync_connected", "1 while a home's change log is read.", "home")
	syncLag       = describe("sluice_sync_lag_seconds", "Lag behind a home, the link's own minimum taken off.", "home", "quantile")
	syncModes     = describe("sluice_sync_buckets", "Buckets by mode.", "home", "mode")
	syncBacklog   = describe("sluice_sync_backlog", "Changes read and not yet written.", "home")
	syncCount     = describe("sluice_sync_changes_total", "Changes of a home's log, by what became of them.", "home", "what")
	syncBytes     = describe("sluice_sync_read_bytes_total", "Bytes over the private line from a home.", "home")
	syncLog       = describe("sluice_change_log_entries", "Entries in this home's change logs.")
	syncLogBytes  = describe("sluice_change_log_bytes", "Bytes of this home's change logs.")
	syncCapped    = describe("sluice_change_log_capped_total", "Entries removed by the cap: a slow region has to join again.")
)

// Describe implements prometheus.Collector.
func (c syncCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c syncCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.syncer.Stats()
	gauge(syncLog, float64(s.Log.Entries))
	gauge(syncLogBytes, float64(s.Log.Bytes))
	count(syncCapped, s.Log.Capped)
	seen := map[string]bool{}
	for _, l := range s.Links {
		if seen[l.Source] { // a cluster's home has an applier a bucket: the first speaks for it
			continue
		}
		seen[l.Source] = true
		connected := 0.0
		if l.Connected {
			connected = 1
		}
		gauge(syncConnected, connected, l.Source)
		for q, d := range map[string]time.Duration{"now": l.Lag, "0.5": l.LagP50, "0.99": l.LagP99, "1": l.LagMax} {
			gauge(syncLag, d.Seconds(), l.Source, q)
		}
		for i, mode := range []string{"set", "collapse", "invalidate"} {
			gauge(syncModes, float64(l.Modes[i]), l.Source, mode)
		}
		gauge(syncBacklog, float64(l.Backlog), l.Source)
		for what, n := range map[string]int64{"read": l.Changes, "duplicate": l.Duplicates, "gap": l.Gaps, "repair": l.Repairs,
			"malformed": l.Malformed, "late": l.Late, "invalidated": l.Invalidated, "hot": l.Hot} {
			count(syncCount, n, l.Source, what)
		}
		count(syncBytes, l.BytesRead, l.Source)
	}
}
