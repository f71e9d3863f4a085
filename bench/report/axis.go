package report

import (
	"math"
	"strconv"
)

// axis maps values to pixels.
type axis struct {
	lo, hi   float64
	from, to float64 // pixels
	log      bool
}

func newAxis(values []float64, log bool, from, to float64) axis {
	a := axis{lo: math.Inf(1), hi: math.Inf(-1), from: from, to: to, log: log}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || log && v <= 0 {
			continue
		}
		a.lo, a.hi = math.Min(a.lo, v), math.Max(a.hi, v)
	}
	switch {
	case a.lo > a.hi: // nothing to show
		a.lo, a.hi = 1, 10
	case log:
		a.lo, a.hi = math.Pow(10, math.Floor(math.Log10(a.lo))), math.Pow(10, math.Ceil(math.Log10(a.hi)+1e-9))
	default:
		a.lo = math.Min(a.lo, 0)
		if a.hi <= a.lo {
			a.hi = a.lo + 1
		}
		step := niceStep((a.hi - a.lo) / 5)
		a.hi = math.Ceil(a.hi/step-1e-9) * step
	}
	if log && a.hi <= a.lo {
		a.hi = a.lo * 10
	}
	return a
}

func (a axis) at(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		v, lo, hi = math.Log10(math.Max(v, a.lo)), math.Log10(lo), math.Log10(hi)
	}
	return a.from + (v-lo)/(hi-lo)*(a.to-a.from)
}

// ticks are the values to label.
func (a axis) ticks() (ts []float64) {
	if a.log {
		for v := a.lo; v <= a.hi*1.001; v *= 10 {
			ts = append(ts, v)
		}
		return ts
	}
	step := niceStep((a.hi - a.lo) / 5)
	for v := math.Ceil(a.lo/step) * step; v <= a.hi+step/1e6; v += step {
		ts = append(ts, v)
	}
	return ts
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*p*1.0000001 {
			return m * p
		}
	}
	return 10 * p
}

// Number prints a value for people: 1.2k, 3.4M, 0.05.
func Number(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs >= 1e9:
		return trim(v/1e9) + "G"
	case abs >= 1e6:
		return trim(v/1e6) + "M"
	case abs >= 1e4:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

func trim(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
