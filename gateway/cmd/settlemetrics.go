package cmd

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
)

// settleMetrics are what the keeper measures of the money on its way.
type settleMetrics struct {
	store   ledger.Store
	settled prometheus.Counter
	lag     prometheus.Histogram
	age     prometheus.Gauge
	frozen  prometheus.Counter
	failed  prometheus.Counter
	opened  prometheus.Histogram
	epoch   prometheus.Gauge
	held    prometheus.Counter
	outbox  *prometheus.GaugeVec
	oldest  prometheus.Gauge
}

func newSettleMetrics(reg prometheus.Registerer, store ledger.Store) *settleMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &settleMetrics{
		store:   store,
		settled: counter("sluice_settled_events_total", "Events of the win streams posted to the ledger."),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sluice_settle_lag_seconds",
			Help: "Age of the oldest event of a batch when it was posted.", Buckets: prometheus.ExponentialBuckets(.001, 2, 16)}),
		age:    gauge("sluice_unsettled_age_seconds", "Age of the oldest event of the last batch that was posted."),
		frozen: counter("sluice_bucket_freezes_total", "Buckets frozen: money that does not add up waits for a person."),
		failed: counter("sluice_settle_failures_total", "Tries to settle that failed."),
		opened: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sluice_redpacket_open_seconds",
			Help: "Time from the fund request to the red packet being open.", Buckets: prometheus.ExponentialBuckets(.001, 2, 14)}),
		epoch:  gauge("sluice_certified_epoch", "Epoch of the last certification."),
		held:   counter("sluice_quarantined_shares_total", "Shares that certifications quarantined."),
		outbox: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_payouts", Help: "Pay-outs on their way, by state."}, []string{"state"}),
		oldest: gauge("sluice_payout_oldest_seconds", "Age of the oldest pay-out nobody has picked up."),
	}
	reg.MustRegister(m.settled, m.lag, m.age, m.frozen, m.failed, m.opened, m.epoch, m.held, m.outbox, m.oldest)
	return m
}

func (m *settleMetrics) onSettled(_, events int, oldest time.Duration) {
	m.settled.Add(float64(events))
	m.lag.Observe(oldest.Seconds())
	m.age.Set(oldest.Seconds())
}

func (m *settleMetrics) onFrozen(*ledger.FreezeError) { m.frozen.Inc() }
func (m *settleMetrics) onFailed(error)               { m.failed.Inc() }
func (m *settleMetrics) onOpened(_ redpacket.ID, took time.Duration) {
	m.opened.Observe(took.Seconds())
}

func (m *settleMetrics) onCertified(r redpacket.CertifyReport) {
	m.epoch.Set(float64(r.Epoch))
	for _, b := range r.Buckets {
		m.held.Add(float64(len(b.Quarantined)))
	}
}

// run reads the outbox' backlog every five seconds.
func (m *settleMetrics) run(ctx context.Context) error {
	for {
		if b, err := m.store.Backlog(ctx); err == nil {
			for state, n := range map[string]int{"queued": b.Queued, "claimed": b.Claimed, "waiting": b.Waiting, "dead": b.Dead} {
				m.outbox.WithLabelValues(state).Set(float64(n))
			}
			age := 0.0
			if !b.OldestQueued.IsZero() {
				age = time.Since(b.OldestQueued).Seconds()
			}
			m.oldest.Set(age)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}
