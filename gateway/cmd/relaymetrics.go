package cmd

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/cachesync/relay"
)

// relayCollector exports what the relay carries to each home. What it sends over the private
// line, node by node, is under sluice_backend_* with backend="home".
type relayCollector struct{ server *relay.Server }

var (
	relayUp    = describe("sluice_relay_up", "1 while a home can be asked.", "home")
	relayCalls = describe("sluice_relay_calls_total", "Questions of this region's gateways to a home.", "home")
	relayFails = describe("sluice_relay_errors_total", "Questions that got no answer (notsent: did not run; unknown: may have run), or an error of Redis (refused: NOSCRIPT, FENCED).", "home", "why")
	relayQueue = describe("sluice_relay_queue", "Questions on their way to a home.", "home")
	relayBytes = describe("sluice_relay_line_bytes_total", "Bytes of draws over the private line, seen from here.", "home", "direction")
	relayConns = describe("sluice_relay_connections", "Connections of gateways to this relay.")
)

// Describe implements prometheus.Collector.
func (c relayCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c relayCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(relayConns, float64(c.server.Conns()))
	for _, s := range c.server.Stats() {
		up, queued, sent, received := 0.0, int64(0), uint64(0), uint64(0)
		if s.Up {
			up = 1
		}
		for _, n := range s.Nodes {
			queued += n.InFlight
			sent += n.BytesOut
			received += n.BytesIn
		}
		gauge(relayUp, up, s.Home)
		gauge(relayQueue, float64(queued), s.Home)
		count(relayCalls, s.Calls, s.Home)
		count(relayFails, s.NotSent, s.Home, "notsent")
		count(relayFails, s.Unknown, s.Home, "unknown")
		count(relayFails, s.Refused, s.Home, "refused")
		count(relayBytes, sent, s.Home, "sent")
		count(relayBytes, received, s.Home, "received")
	}
}
