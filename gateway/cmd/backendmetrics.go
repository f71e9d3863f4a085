package cmd

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/cachesync"
	"sluice/cachesync/pipeline"
)

var backendLabels = []string{"backend", "addr"}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// backendCollector exports what a pipelined client counts by node.
type backendCollector struct {
	backend string
	stats   func() []pipeline.Stats
}

var (
	backendUp       = describe("sluice_backend_up", "1 while a connection carries calls.", backendLabels...)
	backendConnects = describe("sluice_backend_connects_total", "Connections made.", backendLabels...)
	backendRefused  = describe("sluice_backend_connect_errors_total", "Connections that failed.", backendLabels...)
	backendErrors   = describe("sluice_backend_errors_total", "Calls without a reply.", backendLabels...)
	backendTimeouts = describe("sluice_backend_timeouts_total", "Calls without a reply in time.", backendLabels...)
	backendBusy     = describe("sluice_backend_busy_total", "Calls refused because too many were in flight.", backendLabels...)
	backendWrites   = describe("sluice_backend_writes_total", "Write system calls; calls by writes is the batch size.", backendLabels...)
	backendOut      = describe("sluice_backend_sent_bytes_total", "Bytes sent.", backendLabels...)
	backendIn       = describe("sluice_backend_received_bytes_total", "Bytes received.", backendLabels...)
	backendInFlight = describe("sluice_backend_in_flight", "Calls waiting for a reply.", backendLabels...)
	backendSeconds  = describe("sluice_backend_call_seconds", "Time from the call to its reply.", backendLabels...)
)

// Describe implements prometheus.Collector; the nodes are known only later.
func (c backendCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c backendCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.stats() {
		put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			out <- prometheus.MustNewConstMetric(d, kind, v, c.backend, s.Addr)
		}
		up := 0.0
		if s.Up {
			up = 1
		}
		put(backendUp, prometheus.GaugeValue, up)
		put(backendConnects, prometheus.CounterValue, float64(s.Connects))
		put(backendRefused, prometheus.CounterValue, float64(s.ConnectErrors))
		put(backendErrors, prometheus.CounterValue, float64(s.Errors))
		put(backendTimeouts, prometheus.CounterValue, float64(s.Timeouts))
		put(backendBusy, prometheus.CounterValue, float64(s.Busy))
		put(backendWrites, prometheus.CounterValue, float64(s.Writes))
		put(backendOut, prometheus.CounterValue, float64(s.BytesOut))
		put(backendIn, prometheus.CounterValue, float64(s.BytesIn))
		put(backendInFlight, prometheus.GaugeValue, float64(s.InFlight))
		buckets, sum := map[float64]uint64{}, uint64(0)
		for i, bound := range pipeline.Buckets() {
			sum += s.Times[i]
			buckets[bound.Seconds()] = sum
		}
		sum += s.Times[len(s.Times)-1]
		out <- prometheus.MustNewConstHistogram(backendSeconds, sum, s.TimeSum.Seconds(), buckets, c.backend, s.Addr)
	}
}

// cacheCollector exports how often the cache knew, and what its sources did.
type cacheCollector struct{ cache *cachesync.Cache }

var (
	cacheReads = describe("sluice_cache_reads_total", "Records read, by what was found: local, hit, miss, tombstone, later.", "found")
	cacheBad   = describe("sluice_cache_bad_records_total", "Values that are no whole record: served as misses.", "why")
	kindReads  = describe("sluice_cache_kind_reads_total", "Records read by kind (u:, rp:, rm:, w:) and whether they were known; known / all is the hit ratio after :00.", "prefix", "known")
	fills      = describe("sluice_cache_fills_total", "Misses by the records' kind, and what became of them.", "prefix", "result")
	fillQueue  = describe("sluice_cache_fill_queue", "Keys waiting for their source.", "prefix")
)

// Describe implements prometheus.Collector.
func (c cacheCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c cacheCollector) Collect(out chan<- prometheus.Metric) {
	s := c.cache.Stats()
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for found, n := range map[string]int64{"local": s.LocalHits, "hit": s.Hits, "miss": s.Misses, "tombstone": s.Tombstones, "later": s.Later} {
		count(cacheReads, n, found)
	}
	for why, n := range map[string]int64{"empty": s.Empty, "foreign": s.Foreign, "future": s.Future, "truncated": s.Truncated, "corrupt": s.Corrupt} {
		count(cacheBad, n, why)
	}
	for prefix, k := range s.Kinds {
		count(kindReads, k.Known, prefix, "yes")
		count(kindReads, k.Reads-k.Known, prefix, "no")
	}
	for prefix, f := range s.Sources {
		for result, n := range map[string]int64{"asked": f.Asked, "stored": f.Stored, "late": f.Late, "shared": f.Shared,
			"refused": f.Refused, "not_found": f.NotFound, "failed": f.Failed, "behind": f.Behind} {
			count(fills, n, prefix, result)
		}
		out <- prometheus.MustNewConstMetric(fillQueue, prometheus.GaugeValue, float64(f.Queued), prefix)
	}
}
