package record

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// together is how far the starts of workers may lie apart: those of --start-at differ by milliseconds.
const together = 5 * time.Second

// Merge sums the results of several workers that ran the same scenario at the same time.
// Rates add up; the measured time is the longest; one invalid worker makes the whole invalid.
func Merge(rs []*Result) (*Result, error) {
	if len(rs) == 0 {
		return nil, fmt.Errorf("record: nothing to merge")
	}
	first := rs[0]
	sum := &Result{Schema: Schema, Started: first.Started, Targets: first.Targets, Scenario: first.Scenario, Arrivals: first.Arrivals,
		WidthMS: first.WidthMS, Labels: first.Labels, Valid: true}
	for i, r := range rs {
		if r.Scenario != first.Scenario || r.WidthMS != first.WidthMS || len(r.Steps) != len(first.Steps) {
			return nil, fmt.Errorf("record: result %d is of scenario %q with %d steps and %d ms intervals, the first of %q with %d and %d: run the workers alike",
				i+1, r.Scenario, len(r.Steps), r.WidthMS, first.Scenario, len(first.Steps), first.WidthMS)
		}
		if apart := r.Started.Sub(first.Started).Abs(); apart > together {
			return nil, fmt.Errorf("record: result %d started %s from the first: rates add up only of workers that ran together: give all the same --start-at", i+1, apart.Round(time.Millisecond))
		}
		if r.FindMax != nil {
			return nil, fmt.Errorf("record: result %d is of a search, whose rate was its own machine's alone: give all workers the same --rate", i+1)
		}
		if h := r.Rehearsal; h != nil {
			if sum.Rehearsal == nil {
				sum.Rehearsal = &Rehearsal{Prefix: h.Prefix}
			}
			sum.Rehearsal.add(h)
		}
		if r.Started.Before(sum.Started) {
			sum.Started = r.Started
		}
		sum.Workers += max(r.Workers, 1)
		sum.Seconds = max(sum.Seconds, r.Seconds)
		sum.Planned += r.Planned
		sum.UsersArrived += r.UsersArrived
		sum.Dropped += r.Dropped
		sum.Connects += r.Connects
		sum.Generator.CPUSeconds += r.Generator.CPUSeconds
		sum.Generator.Loops += r.Generator.Loops
		for _, why := range r.Invalid {
			sum.Invalid = append(sum.Invalid, fmt.Sprintf("worker %d: %s", i+1, why))
		}
		sum.Valid = sum.Valid && r.Valid
	}
	pick := func(of func(*Result) *Quantiles) (Quantiles, error) {
		total := newHist(3)
		for _, r := range rs {
			h, err := of(r).Histogram()
			if err != nil {
				return Quantiles{}, err
			}
			total.Merge(h)
		}
		return Summarize(total), nil
	}
	for _, f := range []struct {
		to *Quantiles
		of func(*Result) *Quantiles
	}{{&sum.Latency, func(r *Result) *Quantiles { return &r.Latency }}, {&sum.Service, func(r *Result) *Quantiles { return &r.Service }},
		{&sum.Lag, func(r *Result) *Quantiles { return &r.Lag }}, {&sum.Wait, func(r *Result) *Quantiles { return &r.Wait }}} {
		q, err := pick(f.of)
		if err != nil {
			return nil, err
		}
		*f.to = q
	}
	for i := range first.Steps {
		s, err := mergeStep(rs, i, pick)
		if err != nil {
			return nil, err
		}
		sum.Steps = append(sum.Steps, s)
	}
	if err := sum.mergeSeries(rs); err != nil {
		return nil, err
	}
	sum.total()
	if sum.Requests > 0 {
		sum.Generator.CPUMicrosReq = sum.Generator.CPUSeconds * 1e6 / float64(sum.Requests)
	}
	return sum, nil
}

func (r *Rehearsal) add(more *Rehearsal) {
	r.Funded += more.Funded
	r.FundedID = append(r.FundedID, more.FundedID...)
	r.Fen += more.Fen
	r.Closed += more.Closed
	r.Left = append(r.Left, more.Left...)
}

func mergeStep(rs []*Result, i int, pick func(func(*Result) *Quantiles) (Quantiles, error)) (Step, error) {
	s := Step{Name: rs[0].Steps[i].Name, Statuses: map[string]int64{}, Outcomes: map[string]int64{}, Failures: map[string]int64{}}
	sizes, bytes := hdr.New(1, 1<<40, 2), 0.0
	for _, r := range rs {
		from := &r.Steps[i]
		s.Requests += from.Requests
		s.Unexpected += from.Unexpected
		for _, kv := range []struct{ from, to map[string]int64 }{{from.Statuses, s.Statuses}, {from.Outcomes, s.Outcomes}, {from.Failures, s.Failures}} {
			for k, n := range kv.from {
				kv.to[k] += n
			}
		}
		if from.SizeHist != "" {
			h, err := hdr.Decode([]byte(from.SizeHist))
			if err != nil {
				return s, fmt.Errorf("record: sizes: %w", err)
			}
			sizes.Merge(h)
			bytes += from.SizeMean * float64(h.TotalCount())
		}
	}
	s.sizes(sizes, int64(bytes+0.5))
	q, err := pick(func(r *Result) *Quantiles { return &r.Steps[i].Latency })
	s.Latency = q
	return s, err
}

func (r *Result) mergeSeries(rs []*Result) error {
	longest := 0
	for _, one := range rs {
		longest = max(longest, len(one.Series))
	}
	for i := range longest {
		total, p := newHist(2), Point{At: float64(int64(i)*r.WidthMS) / 1e3}
		for _, one := range rs {
			if i >= len(one.Series) {
				continue
			}
			h, err := decode(one.Series[i].Hist, 2)
			if err != nil {
				return err
			}
			total.Merge(h)
			p.Errors += one.Series[i].Errors
			p.LagMax = max(p.LagMax, one.Series[i].LagMax)
		}
		p.fill(total)
		r.Series = append(r.Series, p)
	}
	return nil
}
