package arrival

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ErrSyntax is wrapped by every error of Parse that the writer of the curve can cure.
var ErrSyntax = errors.New("arrival curve not understood")

// Parse reads a curve such as "ramp:from=0,to=5000,over=1m"; a bare number is a constant rate.
func Parse(text string) (Curve, error) {
	if r, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64); err == nil {
		text = fmt.Sprintf("constant:rate=%g", r)
	}
	name, rest, _ := strings.Cut(text, ":")
	p := &params{curve: name, values: map[string]string{}}
	for _, kv := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' }) {
		k, v, ok := strings.Cut(strings.TrimSpace(kv), "=")
		if _, twice := p.values[k]; !ok || twice {
			return nil, fmt.Errorf("%w: %q in %q is not key=value, or is there twice", ErrSyntax, kv, text)
		}
		p.values[k] = v
	}
	c, err := build(name, p)
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if p.err != nil {
		return nil, p.err
	}
	if len(p.values) > 0 {
		var unknown []string
		for k := range p.values {
			unknown = append(unknown, k)
		}
		sort.Strings(unknown)
		return nil, fmt.Errorf("%w: %s does not know %s", ErrSyntax, name, strings.Join(unknown, ", "))
	}
	return c, nil
}

func build(name string, p *params) (Curve, error) {
	switch name {
	case "constant":
		return Constant{Rate: p.number("rate", -1)}, nil
	case "step":
		return Step{From: p.number("from", -1), By: p.number("by", -1), Every: p.span("every", -1)}, nil
	case "ramp":
		return Ramp{From: p.number("from", 0), To: p.number("to", -1), Over: p.span("over", -1)}, nil
	case "sine":
		s := Sine{Mean: p.number("mean", -1), Amp: p.number("amp", -1), Period: p.span("period", -1)}
		if s.Amp > s.Mean {
			return nil, fmt.Errorf("sine with amp %g above mean %g would need a negative rate", s.Amp, s.Mean)
		}
		return s, nil
	case "herd":
		return NewHerd(Herd{Users: p.number("users", -1), At: p.span("at", 0), Skew: p.span("skew", 200*time.Millisecond),
			Reaction: p.span("reaction", 600*time.Millisecond), Spread: p.number("spread", 0.5),
			Repeats: int(p.number("repeats", 0)), Every: p.span("every", 0)})
	case "surge":
		s := Surge{Base: p.number("base", -1), Factor: p.number("factor", 1000), After: p.span("after", 0), Before: p.span("before", -1),
			Rise: p.span("rise", 200*time.Millisecond), For: p.span("for", 2*time.Second), Seed: uint64(p.number("seed", 1))}
		if s.Factor < 1 || s.Before < s.After {
			return nil, fmt.Errorf("surge needs factor >= 1 and before >= after")
		}
		return s, nil
	}
	return nil, fmt.Errorf("no curve is called %q; there are constant, step, ramp, sine, herd and surge", name)
}

type params struct {
	curve  string
	values map[string]string
	err    error
}

func (p *params) take(key string, must bool) (string, bool) {
	v, ok := p.values[key]
	delete(p.values, key)
	if !ok && must && p.err == nil {
		p.err = fmt.Errorf("%w: %s needs %s=", ErrSyntax, p.curve, key)
	}
	return v, ok
}

// number reads a value >= 0; def < 0 means that it must be given.
func (p *params) number(key string, def float64) float64 {
	text, ok := p.take(key, def < 0)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(text, 64)
	if (err != nil || f < 0 || math.IsNaN(f) || f > 1e12) && p.err == nil {
		p.err = fmt.Errorf("%w: %s=%s of %s is not a number from 0 to 1e12", ErrSyntax, key, text, p.curve)
	}
	return f
}

// span reads a duration >= 0; def < 0 means that it must be given, and above 0.
func (p *params) span(key string, def time.Duration) time.Duration {
	text, ok := p.take(key, def < 0)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(text)
	if (err != nil || d < 0 || def < 0 && d == 0) && p.err == nil {
		p.err = fmt.Errorf("%w: %s=%s of %s is not a duration such as 10s", ErrSyntax, key, text, p.curve)
	}
	return d
}

// Whole says whether a run that ends at end sees what its curve is about: the herd, or the surge
// whenever it comes.
func Whole(c Curve, end time.Duration) error {
	switch c := c.(type) {
	case *Herd:
		if all := c.Users * float64(c.Repeats+1); c.Hits(end) < 0.99*all {
			return fmt.Errorf("%w: of %.0f arrivals of the herd only %.0f come before the run ends after %s: make it longer", ErrSyntax, all, c.Hits(end), end)
		}
	case Surge:
		if last := c.Before + 2*c.Rise + c.For; last > end {
			return fmt.Errorf("%w: the surge may last until %s, and the run ends after %s: make it longer, or before= less", ErrSyntax, short(last), end)
		}
	}
	return nil
}
