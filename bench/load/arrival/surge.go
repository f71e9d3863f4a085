package arrival

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Surge is the push to everybody at 3 a.m.: Base a second, and at a moment that nobody is told,
// between After and Before, Factor times as much for For, reached and left in a line of Rise.
// The moment comes from Seed, so a run can be repeated and several workers agree on it.
type Surge struct {
	Base, Factor  float64
	After, Before time.Duration
	Rise, For     time.Duration
	Seed          uint64
}

// Moment is when the surge begins.
func (s Surge) Moment() time.Duration {
	span := int64(s.Before - s.After)
	if span <= 0 {
		return s.After
	}
	return s.After + time.Duration(rand.New(rand.NewPCG(s.Seed, 0x5143)).Int64N(span))
}

// Hits implements Curve: the base, plus a trapezoid of height Base*(Factor-1).
func (s Surge) Hits(t time.Duration) float64 {
	extra := s.Base * (s.Factor - 1)
	x, rise, hold := (t - s.Moment()).Seconds(), s.Rise.Seconds(), s.For.Seconds()
	area := 0.0 // seconds of full height so far
	switch {
	case x <= 0:
	case x < rise:
		area = x * x / (2 * rise)
	case x < rise+hold:
		area = rise/2 + x - rise
	case x < 2*rise+hold:
		left := 2*rise + hold - x
		area = rise + hold - left*left/(2*rise)
	default:
		area = rise + hold
	}
	return s.Base*t.Seconds() + extra*area
}

func (s Surge) String() string {
	return fmt.Sprintf("surge:base=%g,factor=%g,after=%s,before=%s,rise=%s,for=%s,seed=%d",
		s.Base, s.Factor, short(s.After), short(s.Before), short(s.Rise), short(s.For), s.Seed)
}
