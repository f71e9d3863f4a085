package search

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/bench/load/record"
)

// ErrSyntax is wrapped by every error of ParseSLO.
var ErrSyntax = errors.New("objective not understood")

// Objective is one clause.
type Objective struct {
	Metric string // as written: p99, errors, outcome.won, ...
	Op     string // <, <=, > or >=
	Limit  float64
	unit   unit
}

type unit uint8

const (
	micros unit = iota
	part        // of 1
	plain
)

// ParseSLO reads comma-separated clauses; "" is none.
func ParseSLO(text string) ([]Objective, error) {
	var all []Objective
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for _, clause := range strings.Split(text, ",") {
		o, err := parse(strings.TrimSpace(clause))
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func parse(clause string) (Objective, error) {
	bad := func(why string) (Objective, error) {
		return Objective{}, fmt.Errorf("%w: %q: %s; write such as p99<50ms or errors<0.1%%", ErrSyntax, clause, why)
	}
	i := strings.IndexAny(clause, "<>")
	if i < 0 {
		return bad("no < or >")
	}
	o := Objective{Metric: strings.TrimSpace(clause[:i]), Op: clause[i : i+1]}
	value := clause[i+1:]
	if strings.HasPrefix(value, "=") {
		o.Op, value = o.Op+"=", value[1:]
	}
	value = strings.TrimSpace(value)
	u, ok := unitOf(o.Metric)
	if !ok {
		return bad("no such metric")
	}
	o.unit = u
	switch u {
	case micros:
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return bad("the limit is not a duration")
		}
		o.Limit = float64(d) / 1e3
	default:
		scale := 1.0
		if u == part && strings.HasSuffix(value, "%") {
			value, scale = strings.TrimSuffix(value, "%"), 100
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
			return bad("the limit is not a number")
		}
		o.Limit = f / scale
	}
	return o, nil
}

func unitOf(metric string) (unit, bool) {
	if metric == "errors" || strings.HasPrefix(metric, "outcome.") && len(metric) > 8 || strings.HasPrefix(metric, "status.") && len(metric) > 7 {
		return part, true
	}
	if metric == "rate" {
		return plain, true
	}
	m := strings.TrimPrefix(metric, "service.")
	if m == "mean" || m == "max" {
		return micros, true
	}
	_, ok := percent(m)
	return micros, ok
}

func percent(m string) (float64, bool) {
	if !strings.HasPrefix(m, "p") || strings.ContainsAny(m, "xXeE_+-") {
		return 0, false
	}
	p, err := strconv.ParseFloat(m[1:], 64)
	return p, err == nil && p > 0 && p <= 100
}

// String is the clause again.
func (o Objective) String() string {
	switch o.unit {
	case micros:
		return o.Metric + o.Op + time.Duration(math.Round(o.Limit*1e3)).String()
	case part:
		return o.Metric + o.Op + strconv.FormatFloat(o.Limit*100, 'g', 12, 64) + "%"
	}
	return o.Metric + o.Op + strconv.FormatFloat(o.Limit, 'g', 12, 64)
}

// Value is what a result has for the objective's metric.
func (o Objective) Value(r *record.Result) float64 {
	share := func(n int64) float64 {
		if r.Requests == 0 {
			return 0
		}
		return float64(n) / float64(r.Requests)
	}
	q, metric := &r.Latency, o.Metric
	if m, ok := strings.CutPrefix(metric, "service."); ok {
		q, metric = &r.Service, m
	}
	switch {
	case metric == "errors":
		return r.ErrorRate
	case metric == "rate":
		answered := r.Requests
		for _, kind := range []string{"timeout", "connect", "broken"} {
			answered -= r.Failures[kind]
		}
		return float64(answered) / math.Max(r.Seconds, 1e-9)
	case metric == "mean":
		return q.Mean
	case metric == "max":
		return q.Max
	case strings.HasPrefix(metric, "outcome."):
		return share(r.Outcomes[metric[len("outcome."):]])
	case strings.HasPrefix(metric, "status."):
		return share(r.Statuses[metric[len("status."):]])
	}
	p, _ := percent(metric) // parse has admitted it
	return q.At(p)
}

// Held says whether value keeps the objective.
func (o Objective) Held(value float64) bool {
	switch o.Op {
	case "<":
		return value < o.Limit
	case "<=":
		return value <= o.Limit
	case ">":
		return value > o.Limit
	}
	return value >= o.Limit
}

// Check writes all objectives into the result and says whether all held.
func Check(r *record.Result, slo []Objective) bool {
	r.Objectives = nil
	all := true
	for _, o := range slo {
		v := o.Value(r)
		held := o.Held(v)
		r.Objectives = append(r.Objectives, record.Objective{Text: o.String(), Value: v, Held: held})
		all = all && held
	}
	return all
}
