package record

import (
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count nanoseconds, 3 digits, from 64 ns (the unit) to 10 minutes; what is longer
// counts as 10 minutes.
const (
	lowest  = 64
	highest = int64(10 * time.Minute)
)

func newHist(digits int) *hdr.Histogram { return hdr.New(lowest, highest, digits) }

func put(h *hdr.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 0), highest)) // within the range by construction
}

// Kinds of errors a request can end with. ErrNone is an answer, expected or not.
const (
	ErrNone    = iota
	ErrTimeout // no answer in time, or no connection free in time
	ErrConnect
	ErrBroken // connection lost, or the answer is not HTTP
	errKinds
)

var errNames = [errKinds]string{"none", "timeout", "connect", "broken"}

// Hit is one finished request; times are nanoseconds since the start of the run.
type Hit struct {
	Step                      int
	Intended, Taken, Sent, At int64
	Status                    int
	Outcome                   []byte // of the body; "" when it tells none
	Size                      int64
	Err                       int
	Unexpected                bool // an answer, but not one that the scenario allows
}

// maxOutcomes bounds what a server that answers random words can make us keep.
const maxOutcomes = 64

// Recorder gathers one loop's hits.
type Recorder struct {
	mu       sync.Mutex
	Latency  *hdr.Histogram // intended to done
	Service  *hdr.Histogram // sent to done
	Lag      *hdr.Histogram // intended to taken up
	Wait     *hdr.Histogram // taken up to sent
	steps    []*stepCount
	series   []*interval
	width    int64
	byDone   bool
	from     int64
	to       int64
	arrivals int64
	dropped  int64
	connects int64
}

type stepCount struct {
	latency  *hdr.Histogram
	requests int64
	errs     [errKinds]int64
	unexpect int64
	statuses [600]int64
	outcomes map[string]*int64
	sizes    *hdr.Histogram
	bytes    int64
}

type interval struct {
	latency *hdr.Histogram
	count   int64
	errors  int64
	lagMax  int64
}

// New makes a recorder of steps kinds of requests, that counts requests intended in [from, to) and
// cuts the run into intervals of width.
func New(steps int, from, to, width time.Duration) *Recorder {
	r := &Recorder{Latency: newHist(3), Service: newHist(3), Lag: newHist(3), Wait: newHist(3),
		width: int64(width), from: int64(from), to: int64(to)}
	for range steps {
		r.steps = append(r.steps, &stepCount{latency: newHist(3), outcomes: map[string]*int64{}, sizes: hdr.New(1, 1<<40, 2)})
	}
	return r
}

// Width gives the intervals of a run: at most some 300 of them, none below 100 ms.
func Width(run time.Duration) time.Duration {
	w := 100 * time.Millisecond
	for _, f := range []time.Duration{2, 5, 10, 20, 50, 100, 300, 600, 3000, 6000} {
		if run/w <= 300 {
			break
		}
		w = 100 * time.Millisecond * f
	}
	return w
}

// CountByDone makes a request belong to the moment it was done, not to the intended one. That is for
// closed loops, whose intended moments mean nothing and whose rate is that of completion.
func (r *Recorder) CountByDone() { r.byDone = true }

// Lock and Unlock frame the loop's work and a viewer's look.
func (r *Recorder) Lock()   { r.mu.Lock() }
func (r *Recorder) Unlock() { r.mu.Unlock() }

// Arrive counts a user who came; Drop one who could not be held because too many were in flight.
func (r *Recorder) Arrive() { r.arrivals++ }

// Drop counts an arrival that the generator could not hold.
func (r *Recorder) Drop() { r.dropped++ }

// Connect counts an opened connection.
func (r *Recorder) Connect() { r.connects++ }

// Add counts a finished request; the caller holds the lock.
func (r *Recorder) Add(h *Hit) {
	when := h.Intended
	if r.byDone {
		when = h.At
	}
	if when < r.from || when >= r.to {
		return
	}
	s := r.steps[h.Step]
	latency := h.At - h.Intended
	put(r.Latency, latency)
	put(s.latency, latency)
	put(r.Lag, h.Taken-h.Intended)
	if h.Sent > 0 {
		put(r.Service, h.At-h.Sent)
		put(r.Wait, h.Sent-h.Taken)
	}
	s.requests++
	s.errs[h.Err]++
	bad := h.Err != ErrNone || h.Unexpected
	if h.Unexpected {
		s.unexpect++
	}
	if h.Err == ErrNone {
		s.statuses[min(max(h.Status, 0), 599)]++
		s.bytes += h.Size
		_ = s.sizes.RecordValue(min(max(h.Size, 1), 1<<40))
		s.outcome(h.Outcome)
	}
	iv := r.interval(int((when - r.from) / r.width))
	put(iv.latency, latency)
	iv.count++
	iv.lagMax = max(iv.lagMax, h.Taken-h.Intended)
	if bad {
		iv.errors++
	}
}

func (s *stepCount) outcome(word []byte) {
	if len(word) == 0 {
		return
	}
	n, ok := s.outcomes[string(word)]
	if !ok {
		name := "other"
		if len(s.outcomes) < maxOutcomes && len(word) <= 40 {
			name = string(word)
		}
		if n = s.outcomes[name]; n == nil {
			n = new(int64)
			s.outcomes[name] = n
		}
	}
	*n++
}

func (r *Recorder) interval(i int) *interval {
	for len(r.series) <= i {
		r.series = append(r.series, nil)
	}
	if r.series[i] == nil {
		r.series[i] = &interval{latency: newHist(2)}
	}
	return r.series[i]
}

// Live is what a viewer sees while the run goes on.
type Live struct {
	Requests, Errors, Arrivals int64
	P50, P99, LagP99           time.Duration
}

// Look sums up recorders for a live view: totals, and quantiles of the newest two whole intervals.
func Look(rs []*Recorder, now time.Duration) Live {
	var l Live
	recent, lag := newHist(2), newHist(3)
	for _, r := range rs {
		r.Lock()
		for _, s := range r.steps {
			l.Requests += s.requests
			l.Errors += s.unexpect + s.errs[ErrTimeout] + s.errs[ErrConnect] + s.errs[ErrBroken]
		}
		l.Arrivals += r.arrivals
		i := int((int64(now)-r.from)/r.width) - 1
		for j := max(i-1, 0); j <= i && j < len(r.series); j++ {
			if r.series[j] != nil {
				recent.Merge(r.series[j].latency)
			}
		}
		lag.Merge(r.Lag)
		r.Unlock()
	}
	l.P50, l.P99 = time.Duration(recent.ValueAtQuantile(50)), time.Duration(recent.ValueAtQuantile(99))
	l.LagP99 = time.Duration(lag.ValueAtQuantile(99))
	return l
}
