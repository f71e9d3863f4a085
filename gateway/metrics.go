package gateway

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// metrics are all that the gateway itself measures; never labelled by user,
// URL or error text.
type metrics struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	latency  *prometheus.HistogramVec

	mu     sync.RWMutex
	routes map[routeOutcome]*meter
}

type routeOutcome struct{ route, outcome string }

// meter is one route's figures for one outcome, looked up once.
type meter struct {
	requests, bytes prometheus.Counter
	latency         prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	labels := []string{"route", "outcome"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_requests_total", Help: "Requests answered, by route and outcome."}, labels),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_response_bytes_total", Help: "Bytes of bodies sent, by route and outcome."}, labels),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_request_seconds", Help: "Time from the request read to the answer ready.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}}, labels),
		routes: map[routeOutcome]*meter{},
	}
	reg.MustRegister(m.requests, m.bytes, m.latency)
	return m
}

func (m *metrics) observe(route string, ctx *fasthttp.RequestCtx, took time.Duration) {
	one := m.meter(routeOutcome{route, outcomeOf(ctx.Response.StatusCode())})
	one.requests.Inc()
	one.bytes.Add(float64(len(ctx.Response.Body())))
	one.latency.Observe(took.Seconds())
}

func (m *metrics) meter(key routeOutcome) *meter {
	m.mu.RLock()
	one := m.routes[key]
	m.mu.RUnlock()
	if one != nil {
		return one
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes[key] == nil {
		m.routes[key] = &meter{m.requests.WithLabelValues(key.route, key.outcome),
			m.bytes.WithLabelValues(key.route, key.outcome), m.latency.WithLabelValues(key.route, key.outcome)}
	}
	return m.routes[key]
}

func outcomeOf(status int) string {
	switch {
	case status == 429 || status == 503:
		return "later"
	case status >= 500:
		return "error"
	case status >= 400:
		return "refused"
	default:
		return "ok"
	}
}
