package record

import (
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Gather sums the loops of one process into a result; names are the scenario's steps.
func Gather(rs []*Recorder, names []string, measured time.Duration) *Result {
	lat, svc, lag, wait := newHist(3), newHist(3), newHist(3), newHist(3)
	res := &Result{Schema: Schema, Workers: 1, Seconds: measured.Seconds()}
	width, longest := int64(0), 0
	for _, r := range rs {
		r.Lock()
		defer r.Unlock()
		lat.Merge(r.Latency)
		svc.Merge(r.Service)
		lag.Merge(r.Lag)
		wait.Merge(r.Wait)
		res.UsersArrived += r.arrivals
		res.Dropped += r.dropped
		res.Connects += r.connects
		width, longest = r.width, max(longest, len(r.series))
	}
	res.Latency, res.Service, res.Lag, res.Wait = Summarize(lat), Summarize(svc), Summarize(lag), Summarize(wait)
	for i, name := range names {
		var parts []*stepCount
		for _, r := range rs {
			parts = append(parts, r.steps[i])
		}
		res.Steps = append(res.Steps, gatherStep(name, parts))
	}
	res.WidthMS = width / int64(time.Millisecond)
	for i := range longest {
		sum, p := newHist(2), Point{At: float64(int64(i)*width) / 1e9}
		var lagMax int64
		for _, r := range rs {
			if i < len(r.series) && r.series[i] != nil {
				iv := r.series[i]
				sum.Merge(iv.latency)
				p.Errors += iv.errors
				lagMax = max(lagMax, iv.lagMax)
			}
		}
		p.LagMax = float64(lagMax) / 1e3
		p.fill(sum)
		res.Series = append(res.Series, p)
	}
	res.total()
	return res
}

func (p *Point) fill(h *hdr.Histogram) {
	q := Summarize(h)
	p.Count, p.P50, p.P99, p.Max, p.Hist = h.TotalCount(), q.P50, q.P99, q.Max, q.Hist
}

func gatherStep(name string, parts []*stepCount) Step {
	s := Step{Name: name, Statuses: map[string]int64{}, Outcomes: map[string]int64{}, Failures: map[string]int64{}}
	lat, sizes := newHist(3), hdr.New(1, 1<<40, 2)
	var bytes int64
	for _, p := range parts {
		lat.Merge(p.latency)
		sizes.Merge(p.sizes)
		s.Requests += p.requests
		s.Unexpected += p.unexpect
		bytes += p.bytes
		for code, n := range p.statuses {
			if n > 0 {
				s.Statuses[strconv.Itoa(code)] += n
			}
		}
		for word, n := range p.outcomes {
			s.Outcomes[word] += *n
		}
		for kind := ErrTimeout; kind < errKinds; kind++ {
			if p.errs[kind] > 0 {
				s.Failures[errNames[kind]] += p.errs[kind]
			}
		}
	}
	s.Latency = Summarize(lat)
	s.sizes(sizes, bytes)
	return s
}

func (s *Step) sizes(h *hdr.Histogram, bytes int64) {
	if n := h.TotalCount(); n > 0 {
		s.SizeMean = float64(bytes) / float64(n)
		s.SizeP99, s.SizeMax, s.SizeHist = h.ValueAtQuantile(99), h.Max(), encode(h)
	}
}

// total fills the sums over all steps.
func (r *Result) total() {
	r.Requests, r.Errors, r.Bytes = 0, 0, 0
	r.Failures, r.Statuses, r.Outcomes = map[string]int64{}, map[string]int64{}, map[string]int64{}
	for i := range r.Steps {
		s := &r.Steps[i]
		r.Requests += s.Requests
		answers := int64(0)
		for _, kv := range []struct{ from, to map[string]int64 }{{s.Statuses, r.Statuses}, {s.Outcomes, r.Outcomes}, {s.Failures, r.Failures}} {
			for k, n := range kv.from {
				kv.to[k] += n
			}
		}
		for _, n := range s.Statuses {
			answers += n
		}
		for _, n := range s.Failures {
			r.Errors += n
		}
		if s.Unexpected > 0 {
			r.Failures["unexpected"] += s.Unexpected
		}
		r.Errors += s.Unexpected
		r.Bytes += int64(s.SizeMean*float64(answers) + 0.5)
	}
	if r.Requests > 0 {
		r.ErrorRate = float64(r.Errors) / float64(r.Requests)
	}
	if r.Seconds > 0 {
		r.Rate = float64(r.Requests) / r.Seconds
	}
}
