package report

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"sluice/bench/load/record"
)

// Text writes the summary of a run.
func Text(w io.Writer, r *record.Result) {
	p := func(format string, a ...any) { fmt.Fprintf(w, format+"\n", a...) }
	p("%s against %s", r.Scenario, strings.Join(r.Targets, ", "))
	p("arrivals   %s, %.1f s", r.Arrivals, r.Seconds)
	p("requests   %d (%.0f/s) by %d users, %d connections opened", r.Requests, r.Rate, r.UsersArrived, r.Connects)
	p("errors     %d (%.3f %%)  %s", r.Errors, r.ErrorRate*100, Counts(r.Failures))
	p("statuses   %s", Counts(r.Statuses))
	if len(r.Outcomes) > 0 {
		p("outcomes   %s", Counts(r.Outcomes))
	}
	p("")
	p("%-34s %9s %9s %9s %9s %9s", "", "p50", "p90", "p99", "p99.9", "max")
	row := func(name string, q record.Quantiles) {
		p("%-34s %9s %9s %9s %9s %9s", name, Span(q.P50), Span(q.P90), Span(q.P99), Span(q.P999), Span(q.Max))
	}
	row("latency (intended to done)", r.Latency)
	row("  waited for a connection", r.Wait)
	row("service (sent to done)", r.Service)
	row("own lag (intended to taken up)", r.Lag)
	if len(r.Steps) > 1 {
		for _, s := range r.Steps {
			row(fmt.Sprintf("step %s x%d", s.Name, s.Requests), s.Latency)
		}
	}
	p("")
	for _, s := range r.Steps {
		p("answers    %s: %.0f bytes in the mean, p99 %d, largest %d", s.Name, s.SizeMean, s.SizeP99, s.SizeMax)
	}
	p("generator  %.2f us CPU a request", r.Generator.CPUMicrosReq)
	if s := r.Server; s != nil {
		p("server     %.2f us CPU a request, %.0f requests a CPU-second", s.CPUMicrosReq, s.ReqPerCPUSec)
	}
	for _, o := range r.Objectives {
		p("objective  %-24s %s", o.Text, map[bool]string{true: "held", false: "MISSED"}[o.Held])
	}
	if f := r.FindMax; f != nil {
		if f.Rate == 0 {
			p("highest    no rate held, the lowest that failed is %.3g/s, limit: %s", f.High, f.Limit)
		} else {
			p("highest    %.0f/s held (error bar %.0f..%.0f/s), limit: %s", f.Rate, f.Low, f.High, f.Limit)
		}
	}
	if b := r.Baseline; b != nil {
		for _, d := range b.Details {
			p("baseline   %s", d)
		}
	}
	if h := r.Rehearsal; h != nil {
		p("rehearsal  %s: %d red packets of %d fen funded, %d closed again", h.Prefix, h.Funded, h.Fen, h.Closed)
		for _, id := range h.Left {
			p("           NOT CLOSED: %s", id)
		}
	}
	for _, why := range r.Invalid {
		p("INVALID    %s", why)
	}
}

// Counts prints a map's counts, the largest first.
func Counts(m map[string]int64) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if m[keys[i]] != m[keys[j]] {
			return m[keys[i]] > m[keys[j]]
		}
		return keys[i] < keys[j]
	})
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(keys, ", ")
}
