package arrival

import (
	"math/rand/v2"
	"time"
)

// Schedule hands out the intended send times of one part of a curve, in order.
type Schedule struct {
	curve   Curve
	part    uint64 // this part takes arrivals part, part+parts, part+2*parts, ...
	parts   uint64
	next    uint64
	end     time.Duration
	last    time.Duration
	poisson *rand.Rand
	at      float64 // Poisson: hits of the whole curve passed so far
}

// NewSchedule gives part (from 0) of parts of the curve up to end.
func NewSchedule(c Curve, end time.Duration, part, parts int) *Schedule {
	return &Schedule{curve: c, part: uint64(part), parts: uint64(max(parts, 1)), end: end}
}

// Poisson makes the steps between arrivals exponential; the sum of several parts stays Poisson.
func (s *Schedule) Poisson(rnd *rand.Rand) *Schedule {
	s.poisson = rnd
	return s
}

// Next is the number and the intended time of the next arrival; false when the curve has no more
// before its end.
func (s *Schedule) Next() (n uint64, at time.Duration, ok bool) {
	n = s.part + s.next*s.parts
	target := float64(n) + 0.5
	if s.poisson != nil {
		s.at += s.poisson.ExpFloat64() * float64(s.parts)
		target = s.at
	}
	at, ok = s.invert(target)
	if !ok {
		return 0, 0, false
	}
	s.next++
	s.last = at
	return n, at, true
}

// invert finds when the curve passes target, by bisection from the last answer on.
func (s *Schedule) invert(target float64) (time.Duration, bool) {
	if c, ok := s.curve.(Constant); ok { // the common case needs no search
		if c.Rate <= 0 {
			return 0, false
		}
		t := target / c.Rate
		if t >= s.end.Seconds() {
			return 0, false
		}
		return time.Duration(t * float64(time.Second)), true
	}
	if s.curve.Hits(s.end) < target {
		return 0, false
	}
	lo, hi, width := s.last, s.end, 100*time.Microsecond
	for lo+width < s.end { // gallop: the next arrival is most often near
		if s.curve.Hits(lo+width) >= target {
			hi = lo + width
			break
		}
		lo += width
		width *= 2
	}
	for hi-lo > time.Microsecond {
		if mid := lo + (hi-lo)/2; s.curve.Hits(mid) >= target {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi, true
}
