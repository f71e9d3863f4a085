package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"sluice/bench/load/record"
)

// ErrInput is wrapped by every error about a measurement or a night.
var ErrInput = errors.New("cannot plan with this")

// Night is what is expected.
type Night struct {
	Users       float64       // who come
	FirstSecond float64       // share of them in the first second
	FirstMinute float64       // share of them in the first minute, the first second included
	Requests    int           // of each user; zero value means 1
	Apart       time.Duration // between a user's requests; zero value means 1 s
	Scale       float64       // the night's machine against the measured one; zero value means 1
	Headroom    float64       // share kept free; 0.3 keeps 30 %
	Wait        time.Duration // an answer may wait this long
	Regions     int           // of which one may be lost; 1 or less: none may
}

// Plan is the answer.
type Plan struct {
	Night                     Night
	Measured, MeasuredLow     float64 // requests a second of one machine
	MeasuredHigh              float64
	Peak                      float64 // requests in the worst second
	Need                      float64 // requests a second to be served
	Machine                   float64 // requests a second of one machine of the night, headroom kept
	Machines, Fewest, Careful int     // expected, and both ends of the error bar
	Source                    string
	curve                     []float64 // A(t) at multiples of grid
}

const (
	grid = 50 * time.Millisecond
	span = 75 * time.Second
)

// Make plans a night from a result of bench.
func Make(r *record.Result, n Night) (*Plan, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	p := &Plan{Night: n}
	switch {
	case r.FindMax != nil && r.FindMax.Rate == 0:
		return nil, fmt.Errorf("plan: %w: the search found no rate that holds the objectives", ErrInput)
	case slices.ContainsFunc(r.Objectives, func(o record.Objective) bool { return !o.Held }):
		return nil, fmt.Errorf("plan: %w: the result missed its objectives, so its rate is none that a machine holds; measure with sluice bench --find-max", ErrInput)
	case r.FindMax != nil:
		p.Measured, p.MeasuredLow, p.MeasuredHigh = r.FindMax.Rate, r.FindMax.Low, r.FindMax.High
		p.Source = fmt.Sprintf("highest rate that held the objectives, limit: %s", r.FindMax.Limit)
	case r.Valid && r.Rate > 0:
		p.Measured, p.MeasuredLow, p.MeasuredHigh = r.Rate, r.Rate*0.9, r.Rate*1.1
		p.Source = "rate of one run, not a searched maximum: the machine may hold more (error bar set to 10 %)"
	default:
		return nil, fmt.Errorf("plan: %w: the result is invalid, or has no rate; measure with sluice bench --find-max", ErrInput)
	}
	p.settle()
	return p, nil
}

// settle computes demand and machines from the night and the measurement.
func (p *Plan) settle() {
	p.demand()
	n := p.Night
	k := n.Scale * (1 - n.Headroom)
	p.Machine = p.Measured * k
	spare := 1.0
	if n.Regions > 1 {
		spare = float64(n.Regions) / float64(n.Regions-1)
	}
	count := func(need, machine float64) int { return max(1, int(math.Ceil(need/machine*spare-1e-9))) }
	p.Machines = count(p.Need, p.Machine)
	p.Fewest = count(p.Need, p.MeasuredHigh*k)
	p.Careful = count(p.Need+2*math.Sqrt(p.Need), p.MeasuredLow*k)
}

func (n *Night) check() error {
	bad := func(why string) error { return fmt.Errorf("plan: %w: %s", ErrInput, why) }
	if n.Requests == 0 {
		n.Requests = 1
	}
	if n.Apart == 0 {
		n.Apart = time.Second
	}
	if n.Scale == 0 {
		n.Scale = 1
	}
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case !(n.Users > 0) || n.Users > 1e11:
		return bad("users must be above 0")
	case !share(n.FirstSecond) || !share(n.FirstMinute) || n.FirstMinute < n.FirstSecond || n.FirstMinute == 0:
		return bad("shares must be from 0 to 1, and the first minute's include the first second's")
	case n.Requests < 1 || n.Requests > 1000 || n.Apart < 0:
		return bad("requests must be from 1 to 1000, their distance not below 0")
	case !(n.Scale > 0) || !(n.Headroom >= 0 && n.Headroom < 1) || n.Wait < 0:
		return bad("scale must be above 0, headroom from 0 to below 1, wait not below 0")
	}
	return nil
}

// Arrived is F(t), the share of users who have arrived.
func (n Night) Arrived(t time.Duration) float64 {
	x := t.Seconds()
	switch {
	case x <= 0:
		return 0
	case x <= 1:
		return n.FirstSecond * x
	case x >= 60:
		return n.FirstMinute
	}
	return n.FirstSecond + (n.FirstMinute-n.FirstSecond)*math.Log(x)/math.Log(60)
}

func (p *Plan) demand() {
	n := p.Night
	p.curve = make([]float64, span/grid+1)
	for i := range p.curve {
		t := time.Duration(i) * grid
		for j := range n.Requests {
			p.curve[i] += n.Users * n.Arrived(t-time.Duration(j)*n.Apart)
		}
	}
	second := int(time.Second / grid)
	for i := range p.curve {
		for j := i + 1; j < len(p.curve); j++ {
			p.Need = max(p.Need, (p.curve[j]-p.curve[i])/(time.Duration(j-i)*grid+n.Wait).Seconds())
		}
		if i+second < len(p.curve) {
			p.Peak = max(p.Peak, p.curve[i+second]-p.curve[i])
		}
	}
}
