package search

import (
	"fmt"

	"sluice/bench/load/record"
)

// Compare judges a run against a baseline. It is worse when, by more than tolerance (0.1 is 10 %),
// its p50 or p99 is higher (and by 100 us at least, below which machines differ from minute to
// minute), its rate is lower though as much was asked, its found maximum is lower, or its error rate is higher by 0.1 points.
func Compare(r, base *record.Result, file string, tolerance float64) *record.Comparison {
	c := &record.Comparison{File: file}
	note := func(worse bool, format string, a ...any) {
		text := fmt.Sprintf(format, a...)
		if worse {
			c.Worse, text = true, "WORSE: "+text
		}
		c.Details = append(c.Details, text)
	}
	latency := func(name string, now, was float64) {
		note(now > was*(1+tolerance) && now > was+100, "%s %.0f us, was %.0f us (%s)", name, now, was, change(now, was))
	}
	latency("p50", r.Latency.P50, base.Latency.P50)
	latency("p99", r.Latency.P99, base.Latency.P99)
	asked := r.Planned/max(r.Seconds, 1e-9) >= base.Planned/max(base.Seconds, 1e-9)*0.99
	note(asked && r.Rate < base.Rate*(1-tolerance), "rate %.0f/s, was %.0f/s (%s)", r.Rate, base.Rate, change(r.Rate, base.Rate))
	note(r.ErrorRate > base.ErrorRate+0.001, "errors %.3f %%, were %.3f %%", r.ErrorRate*100, base.ErrorRate*100)
	if r.FindMax != nil && base.FindMax != nil {
		note(r.FindMax.Rate < base.FindMax.Rate*(1-tolerance), "highest rate %.0f/s, was %.0f/s (%s)", r.FindMax.Rate, base.FindMax.Rate, change(r.FindMax.Rate, base.FindMax.Rate))
	}
	return c
}

func change(now, was float64) string {
	if was == 0 {
		return "new"
	}
	return fmt.Sprintf("%+.1f %%", (now/was-1)*100)
}
