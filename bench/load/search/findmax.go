package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/bench/load/record"
)

// Limits of the search: factor between neighbours when it ends, and of what it tries.
const (
	precision = 1.05
	MaxTrials = 40  // and at most as many hold runs as it takes, ten
	highest   = 5e6 // requests a second; nobody is asked for more
)

// What a FindMax's Limit says: whose fault the lowest failure was.
const (
	Server    = "server"
	Generator = "generator"
)

// ErrNoRate is returned, with the last trial and the search in it, when not even the lowest rate held.
var ErrNoRate = errors.New("no rate holds the objectives")

// Plan is how FindMax goes about it.
type Plan struct {
	Start float64       // first rate; zero value means 100
	Trial time.Duration // length of a trial; zero value means 5 s
	Hold  time.Duration // length of the hold run; zero value means four trials
	Rest  time.Duration // between trials, for queues to empty
	SLO   []Objective
	Tell  func(record.Trial) // after each trial, when set
}

// RunAt runs the load at a rate for a time.
type RunAt func(ctx context.Context, rate float64, d time.Duration) (*record.Result, error)

type hunt struct {
	plan   Plan
	run    RunAt
	found  record.FindMax
	failed float64 // lowest rate that failed
	last   *record.Result
}

// FindMax searches, and returns the result of the hold run with the search in it.
func FindMax(ctx context.Context, plan Plan, run RunAt) (*record.Result, error) {
	if plan.Start <= 0 {
		plan.Start = 100
	}
	if plan.Trial <= 0 {
		plan.Trial = 5 * time.Second
	}
	if plan.Hold <= 0 {
		plan.Hold = 4 * plan.Trial
	}
	h := &hunt{plan: plan, run: run, failed: highest}
	low, err := h.bracket(ctx)
	if errors.Is(err, ErrNoRate) {
		return h.end(0), err
	}
	if err != nil {
		return nil, err
	}
	for h.failed/low > precision && len(h.found.Trials) < MaxTrials {
		mid := (low + h.failed) / 2
		held, err := h.try(ctx, mid, plan.Trial, "bisection")
		if err != nil {
			return nil, err
		}
		if held {
			low = mid
		}
	}
	for rate := low; rate >= 1 && len(h.found.Trials) < MaxTrials+10; rate /= precision {
		held, err := h.try(ctx, rate, plan.Hold, "hold")
		if err != nil {
			return nil, err
		}
		if held {
			return h.end(rate), nil
		}
	}
	return h.end(0), fmt.Errorf("search: %w: none survived the hold run of %s", ErrNoRate, plan.Hold)
}

// end is the last trial with the search in it.
func (h *hunt) end(rate float64) *record.Result {
	h.found.Rate, h.found.Low, h.found.High = rate, rate, h.failed
	h.last.FindMax = &h.found
	return h.last
}

// bracket doubles until a rate fails; when already the first does, it halves until one holds.
func (h *hunt) bracket(ctx context.Context) (low float64, err error) {
	rate := h.plan.Start
	for h.failed == highest && rate < highest {
		held, err := h.try(ctx, rate, h.plan.Trial, "doubling")
		if err != nil {
			return 0, err
		}
		if held {
			low = rate
			rate *= 2
		}
	}
	for low == 0 {
		if rate /= 2; rate < 1 {
			return 0, fmt.Errorf("search: %w: not even %.3g a second; see the trials' reasons: %s", ErrNoRate, rate*2, h.why())
		}
		held, err := h.try(ctx, rate, h.plan.Trial, "halving")
		if err != nil {
			return 0, err
		}
		if held {
			low = rate
		}
	}
	return low, nil
}

func (h *hunt) why() string {
	if n := len(h.found.Trials); n > 0 {
		return h.found.Trials[n-1].Why
	}
	return ""
}

// try runs one trial; a rate that cannot be sent validly has not held.
func (h *hunt) try(ctx context.Context, rate float64, d time.Duration, phase string) (bool, error) {
	if h.plan.Rest > 0 && len(h.found.Trials) > 0 {
		select {
		case <-time.After(h.plan.Rest):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("search: %w", err)
	}
	r, err := h.run(ctx, rate, d)
	if err != nil {
		return false, err
	}
	held := Check(r, h.plan.SLO)
	t := record.Trial{Rate: rate, Seconds: d.Seconds(), Phase: phase, Valid: r.Valid, Held: held && r.Valid, P99: r.Latency.P99, Errors: r.ErrorRate}
	for _, o := range r.Objectives {
		if !o.Held && t.Why == "" {
			t.Why = "missed " + o.Text
		}
	}
	if !t.Held && rate < h.failed {
		h.failed = rate
		h.found.Limit = Server
		// The objectives held and the generator did not; or its own lag is most of what they saw.
		if held || !r.Valid && r.Lag.P99 > r.Latency.P99/2 {
			h.found.Limit = Generator
			t.Why = strings.Join(r.Invalid, "; ")
		}
	}
	h.found.Trials = append(h.found.Trials, t)
	h.last = r
	if h.plan.Tell != nil {
		h.plan.Tell(t)
	}
	return t.Held, nil
}
