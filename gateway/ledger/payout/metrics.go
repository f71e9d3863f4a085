package payout

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/ledger"
)

// Metrics of pay-out, by kind; never by user.
type Metrics struct {
	tries *prometheus.CounterVec // kind, result: paid, failed, refused, postponed
	dead  *prometheus.CounterVec // kind
	swept prometheus.Counter
	took  *prometheus.HistogramVec // kind
}

// NewMetrics registers them; a nil registry only counts.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_payout_tries_total",
			Help: "Calls to pay-out providers, by kind and result (paid, failed, refused; postponed: not called, for a breaker or a rate)."}, []string{"kind", "result"}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_payout_dead_total",
			Help: "Pay-outs that became dead letters. Any increase is an alarm."}, []string{"kind"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_payout_swept_total", Help: "Dead letters that a sweep gave back for another round."}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sluice_payout_call_seconds", Help: "Time of one call to a pay-out provider.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10}}, []string{"kind"}),
	}
	if reg != nil {
		reg.MustRegister(m.tries, m.dead, m.swept, m.took)
	}
	for k := ledger.Wallet; k <= ledger.Refund; k++ { // so that a first dead letter is seen as an increase
		m.dead.WithLabelValues(k.String())
	}
	return m
}
