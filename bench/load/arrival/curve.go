package arrival

import (
	"fmt"
	"math"
	"time"
)

// Curve is the expected number of arrivals since the start of a run.
type Curve interface {
	// Hits is the expected number of arrivals in [0, t]; it never falls, and Hits(0) is 0.
	Hits(t time.Duration) float64
	// String is the readable form that Parse accepts.
	String() string
}

// Constant is Rate arrivals a second: Hits(t) = Rate * t.
type Constant struct{ Rate float64 }

// Hits implements Curve.
func (c Constant) Hits(t time.Duration) float64 { return c.Rate * t.Seconds() }

func (c Constant) String() string { return fmt.Sprintf("constant:rate=%g", c.Rate) }

// Step starts at From a second and adds By a second each Every.
type Step struct {
	From, By float64
	Every    time.Duration
}

// Hits implements Curve: whole steps are summed, the last one is counted in part.
func (s Step) Hits(t time.Duration) float64 {
	e := s.Every.Seconds()
	k := math.Floor(t.Seconds() / e)
	whole := e * (k*s.From + s.By*k*(k-1)/2)
	return whole + (s.From+k*s.By)*(t.Seconds()-k*e)
}

func (s Step) String() string {
	return fmt.Sprintf("step:from=%g,by=%g,every=%s", s.From, s.By, short(s.Every))
}

// Ramp goes from From to To a second in a straight line during Over, and stays at To.
type Ramp struct {
	From, To float64
	Over     time.Duration
}

// Hits implements Curve: the area under the rising line, then a rectangle.
func (r Ramp) Hits(t time.Duration) float64 {
	o, x := r.Over.Seconds(), t.Seconds()
	if x <= o {
		return r.From*x + (r.To-r.From)*x*x/(2*o)
	}
	return (r.From+r.To)/2*o + r.To*(x-o)
}

func (r Ramp) String() string {
	return fmt.Sprintf("ramp:from=%g,to=%g,over=%s", r.From, r.To, short(r.Over))
}

// Sine is rate(t) = Mean - Amp*cos(2*pi*t/Period): it starts in its valley.
type Sine struct {
	Mean, Amp float64
	Period    time.Duration
}

// Hits implements Curve: Mean*t - Amp*P/(2*pi) * sin(2*pi*t/P).
func (s Sine) Hits(t time.Duration) float64 {
	w := 2 * math.Pi / s.Period.Seconds()
	return s.Mean*t.Seconds() - s.Amp/w*math.Sin(w*t.Seconds())
}

func (s Sine) String() string {
	return fmt.Sprintf("sine:mean=%g,amp=%g,period=%s", s.Mean, s.Amp, short(s.Period))
}

// short prints a duration without the empty units of time.Duration (1m0s is 1m).
func short(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d != 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
