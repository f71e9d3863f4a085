package search

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"sluice/bench/load/record"
)

// model is a server that answers in 1 ms up to its capacity, and misses beyond it; beyond the
// generator's own limit runs are invalid. Longer runs see a lower capacity, as in life.
func model(capacity, generator float64) RunAt {
	return func(_ context.Context, rate float64, d time.Duration) (*record.Result, error) {
		r := &record.Result{Requests: 1000, Seconds: 1, Valid: rate <= generator}
		r.Latency.Max = 1000
		limit := capacity
		if d > 5*time.Second {
			limit *= 0.97
		}
		if rate > limit {
			r.Latency.Max, r.ErrorRate = 1e6, 0.5
		}
		return r, nil
	}
}

func slo(t testing.TB, text string) []Objective {
	t.Helper()
	o, err := ParseSLO(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFindMaxComesWithinFivePercentAndHolds(t *testing.T) {
	for _, capacity := range []float64{3, 99, 100, 5432, 77777, 1e6} {
		r, err := FindMax(t.Context(), Plan{SLO: slo(t, "max<50ms,errors<0.1%")}, model(capacity, math.Inf(1)))
		if err != nil {
			t.Fatal(err)
		}
		f := r.FindMax
		if f.Rate > capacity || f.Rate < capacity*0.8 || f.High < capacity*0.97 || f.Limit != "server" {
			t.Errorf("capacity %g: found %g, error bar %g..%g, limit %s", capacity, f.Rate, f.Low, f.High, f.Limit)
		}
		if last := f.Trials[len(f.Trials)-1]; last.Phase != "hold" || !last.Held {
			t.Errorf("the last trial is %+v", last)
		}
	}
}

func TestFindMaxSaysThatTheGeneratorWasTheLimit(t *testing.T) {
	r, err := FindMax(t.Context(), Plan{SLO: slo(t, "max<50ms")}, model(1e6, 3000))
	if err != nil || r.FindMax.Limit != "generator" || r.FindMax.Rate > 3000 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestLatencyThatIsTheGeneratorsOwnLagIsNotTheServersFault(t *testing.T) {
	late := func(_ context.Context, rate float64, _ time.Duration) (*record.Result, error) {
		r := &record.Result{Valid: rate <= 3000, Invalid: []string{"lag"}}
		if !r.Valid {
			r.Latency.Max, r.Latency.P99, r.Lag.P99 = 1e5, 9e4, 8e4
		}
		return r, nil
	}
	r, err := FindMax(t.Context(), Plan{SLO: slo(t, "max<50ms")}, late)
	if err != nil || r.FindMax.Limit != Generator {
		t.Errorf("%v, %+v", err, r.FindMax)
	}
}

func TestFindMaxGivesUpBelowOneASecond(t *testing.T) {
	r, err := FindMax(t.Context(), Plan{SLO: slo(t, "max<50ms")}, model(0, 1e9))
	if !errors.Is(err, ErrNoRate) || r == nil || r.FindMax.Rate != 0 || len(r.FindMax.Trials) == 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestObjectivesAreJudged(t *testing.T) {
	rec := record.New(1, 0, time.Second, time.Second)
	for i := range 1000 {
		rec.Add(&record.Hit{At: int64(i+1) * 1000, Sent: 1, Status: 200 + i%2*303, Outcome: []byte("won"), Unexpected: i < 10})
	}
	r := record.Gather([]*record.Recorder{rec}, []string{"x"}, time.Second)
	f := func(text string, want bool) {
		t.Helper()
		if got := Check(r, slo(t, text)); got != want {
			t.Errorf("%s: %v, values %+v", text, got, r.Objectives)
		}
	}
	f("p99<1ms", true)
	f("p99<900us", false)
	f("p50<=510us,p99.9<1.1ms,mean<600us,max<2ms", true)
	f("errors<1%", false)
	f("errors<=1%", true)
	f("rate>=1000", true)
	f("outcome.won>99%,status.503<=0.5,status.404<1%", true)
	f("service.p50<400us", false)
}

func TestMistakesInObjectivesAreRefused(t *testing.T) {
	for _, bad := range []string{"p99", "p99<", "p99<5", "p0<1ms", "p101<1ms", "px<1ms", "errors<x", "errors<-1%", "rate>nan", "what<1", "p99=<5ms", ",", "outcome.<1%"} {
		if o, err := ParseSLO(bad); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q reads as %v, %v", bad, o, err)
		}
	}
}

func TestABaselineIsWorseOnlyBeyondTolerance(t *testing.T) {
	base := &record.Result{Rate: 1000, Planned: 1000, Seconds: 1, Latency: record.Quantiles{P50: 1000, P99: 5000}, FindMax: &record.FindMax{Rate: 1000}}
	f := func(change func(*record.Result), want bool) {
		t.Helper()
		r := *base
		r.FindMax = &record.FindMax{Rate: 1000}
		change(&r)
		if c := Compare(&r, base, "b", 0.1); c.Worse != want {
			t.Errorf("worse is %v: %v", c.Worse, c.Details)
		}
	}
	f(func(r *record.Result) {}, false)
	f(func(r *record.Result) { r.Latency.P99 = 5400 }, false)
	f(func(r *record.Result) { r.Latency.P99 = 5600 }, true)
	f(func(r *record.Result) { r.Rate = 800 }, true)
	f(func(r *record.Result) { r.Rate, r.Planned = 800, 800 }, false)
	f(func(r *record.Result) { r.ErrorRate = 0.01 }, true)
	f(func(r *record.Result) { r.FindMax.Rate = 500 }, true)
}

func FuzzParseSLO(f *testing.F) {
	f.Add("p99<50ms,errors<0.1%")
	f.Add("service.p99.9>=1us,outcome.x<1,rate>5")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseSLO(text)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		for _, o := range all {
			again, err := ParseSLO(o.String())
			if err != nil || len(again) != 1 || again[0].String() != o.String() {
				t.Fatalf("%q reads as %s, which reads as %v, %v", text, o, again, err)
			}
		}
	})
}
