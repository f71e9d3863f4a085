package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/bench/load/record"
	"sluice/bench/report"
)

// HTML makes the page of a run.
func HTML(r *record.Result) report.Page {
	p := report.Page{Title: "Load: " + r.Scenario,
		Lead: fmt.Sprintf("%s, %s, %.1f s measured, started %s, %d worker(s)", strings.Join(r.Targets, ", "), r.Arrivals, r.Seconds, r.Started.Format(time.RFC3339), max(r.Workers, 1)),
		Facts: [][2]string{{"requests a second", fmt.Sprintf("%.0f", r.Rate)}, {"requests", report.Number(float64(r.Requests))}, {"errors", fmt.Sprintf("%.3g %%", r.ErrorRate*100)},
			{"p50", Span(r.Latency.P50)}, {"p99", Span(r.Latency.P99)}, {"p99.9", Span(r.Latency.P999)}, {"max", Span(r.Latency.Max)}}}
	if f := r.FindMax; f != nil {
		p.Facts = append([][2]string{{fmt.Sprintf("highest rate (%.0f..%.0f/s)", f.Low, f.High), fmt.Sprintf("%.0f/s", f.Rate)}}, p.Facts...)
	}
	if len(r.Invalid) > 0 {
		p.Sections = append(p.Sections, report.Section{Heading: "This run is invalid", Text: strings.Join(r.Invalid, "; "), Bad: true})
	}
	if len(r.Objectives) > 0 {
		p.Sections = append(p.Sections, objectives(r))
	}
	p.Sections = append(p.Sections, percentiles(r))
	if len(r.Series) > 1 {
		p.Sections = append(p.Sections, overTime(r)...)
	}
	if r.FindMax != nil {
		p.Sections = append(p.Sections, trials(r.FindMax)...)
	}
	p.Sections = append(p.Sections, steps(r))
	if r.Baseline != nil {
		p.Sections = append(p.Sections, report.Section{Heading: "Against " + r.Baseline.File, Text: strings.Join(r.Baseline.Details, "; "), Bad: r.Baseline.Worse})
	}
	if h := r.Rehearsal; h != nil {
		p.Sections = append(p.Sections, report.Section{Heading: "Rehearsal", Bad: len(h.Left) > 0,
			Text: fmt.Sprintf("users %s..., %d red packets of %d fen funded, %d closed again; not closed: %s", h.Prefix, h.Funded, h.Fen, h.Closed, strings.Join(h.Left, " "))})
	}
	cost := fmt.Sprintf("The generator used %.2f us of CPU a request.", r.Generator.CPUMicrosReq)
	if r.Server != nil {
		cost += fmt.Sprintf(" The server used %.2f us: %.0f requests a CPU-second.", r.Server.CPUMicrosReq, r.Server.ReqPerCPUSec)
	}
	p.Sections = append(p.Sections, report.Section{Heading: "Cost", Text: cost})
	return p
}

func objectives(r *record.Result) report.Section {
	t := &report.Table{Head: []string{"objective", "measured", ""}}
	bad := false
	for _, o := range r.Objectives {
		value := Span(o.Value)
		switch {
		case strings.HasSuffix(o.Text, "%"):
			value = fmt.Sprintf("%.4g %%", o.Value*100)
		case strings.HasPrefix(o.Text, "rate"):
			value = fmt.Sprintf("%.0f/s", o.Value)
		}
		t.Rows = append(t.Rows, []string{o.Text, value, map[bool]string{true: "held", false: "missed"}[o.Held]})
		bad = bad || !o.Held
	}
	return report.Section{Heading: "Objectives", Table: t, Bad: bad}
}

// percentiles draws latency over 1/(1-q) on two logarithmic axes, as HdrHistogram's plots do.
func percentiles(r *record.Result) report.Section {
	labels := map[float64]string{1: "0 %", 10: "90 %", 100: "99 %", 1000: "99.9 %", 1e4: "99.99 %", 1e5: "99.999 %", 1e6: "99.9999 %"}
	most := math.Pow(10, math.Ceil(math.Log10(float64(max(r.Requests, 10)))))
	for x := range labels {
		if x > most {
			delete(labels, x)
		}
	}
	line := func(name string, q *record.Quantiles, dashed bool) report.Line {
		l := report.Line{Name: name, Dashed: dashed}
		for e := 0.0; e <= math.Log10(most); e += 0.05 {
			x := math.Pow(10, e)
			l.Points = append(l.Points, [2]float64{x, q.At(100*(1-1/x)) / 1e3})
		}
		return l
	}
	return report.Section{Heading: "Latency by percentile",
		Text: "Latency counts from the moment a request was intended; service only from its sending, and hides what a stall kept waiting.",
		Body: report.Chart{X: "percentile", Y: "ms", LogX: true, LogY: true, XLabel: labels,
			Lines: []report.Line{line("latency", &r.Latency, false), line("service", &r.Service, true), line("own lag", &r.Lag, true)}}.SVG()}
}

func overTime(r *record.Result) []report.Section {
	var p50, p99, most, lag, rate, errs report.Line
	p50.Name, p99.Name, most.Name, lag.Name, rate.Name, errs.Name = "p50", "p99", "max", "own lag, max", "requests/s", "errors/s"
	lag.Dashed = true
	w := float64(r.WidthMS) / 1e3
	for _, s := range r.Series {
		at := func(l *report.Line, v float64) { l.Points = append(l.Points, [2]float64{s.At, v}) }
		if s.Count > 0 {
			at(&p50, s.P50/1e3)
			at(&p99, s.P99/1e3)
			at(&most, s.Max/1e3)
			at(&lag, s.LagMax/1e3)
		}
		at(&rate, float64(s.Count)/w)
		at(&errs, float64(s.Errors)/w)
	}
	return []report.Section{
		{Heading: "Latency over time", Text: "By intended moment.", Body: report.Chart{X: "seconds", Y: "ms", LogY: true, Lines: []report.Line{p50, p99, most, lag}}.SVG()},
		{Heading: "Requests over time", Body: report.Chart{X: "seconds", Y: "a second", Lines: []report.Line{rate, errs}, Height: 200}.SVG()},
	}
}

func trials(f *record.FindMax) []report.Section {
	t := &report.Table{Head: []string{"trial", "rate/s", "seconds", "p99", "errors", "held"}}
	var bars []report.Bar
	for i, tr := range f.Trials {
		held := "no: " + tr.Why
		group := 1
		if tr.Held {
			held, group = "yes", 2
		}
		t.Rows = append(t.Rows, []string{fmt.Sprintf("%d %s", i+1, tr.Phase), fmt.Sprintf("%.0f", tr.Rate), fmt.Sprintf("%.0f", tr.Seconds), Span(tr.P99), fmt.Sprintf("%.3g %%", tr.Errors*100), held})
		bars = append(bars, report.Bar{Name: fmt.Sprintf("%d %s", i+1, tr.Phase), Value: tr.Rate, Group: group})
	}
	return []report.Section{{Heading: "The search for the highest rate", Text: "Green trials held the objectives, orange ones did not. Limit: " + f.Limit + ".", Body: report.Bars("/s", bars)}, {Table: t}}
}

func steps(r *record.Result) report.Section {
	t := &report.Table{Head: []string{"step", "requests", "statuses", "outcomes", "failures", "p50", "p99", "p99.9", "answer mean", "p99 size"}}
	for _, s := range r.Steps {
		t.Rows = append(t.Rows, []string{s.Name, fmt.Sprint(s.Requests), Counts(s.Statuses), Counts(s.Outcomes), Counts(s.Failures),
			Span(s.Latency.P50), Span(s.Latency.P99), Span(s.Latency.P999), fmt.Sprintf("%.0f B", s.SizeMean), fmt.Sprintf("%d B", s.SizeP99)})
	}
	return report.Section{Heading: "Steps", Table: t}
}
