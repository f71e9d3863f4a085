package payout

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"sluice/gateway/ledger"
)

// Config of a Worker. Ledger and Providers are required.
type Config struct {
	Ledger    ledger.Outbox
	Providers map[ledger.Kind]Provider // every kind must be there; see All

	Concurrency int           // calls at the same time; zero means 16
	Timeout     time.Duration // of one call; zero means 10 s
	Lease       time.Duration // zero means 3 * Timeout; at least 2 * Timeout
	Poll        time.Duration // pause when nothing is due; zero means 200 ms

	Tries      int           // before a pay-out becomes a dead letter; zero means 10
	BackoffMin time.Duration // zero means 1 s
	BackoffMax time.Duration // zero means 10 min

	RatePerSecond float64       // calls for each kind; zero means no bound
	BreakAfter    int           // failures in a row that open a kind's breaker; zero means 20
	BreakFor      time.Duration // how long it stays open; zero means 15 s

	SweepEvery time.Duration // how often dead letters are looked through; zero means 1 min
	SweepAfter time.Duration // rest of a dead letter before a sweep retries it; zero means 1 h

	// Alarm is told of every dead letter, at once. nil means the log only.
	Alarm   func(ctx context.Context, p ledger.Payout, cause error)
	Metrics *Metrics     // nil means none
	Logger  *slog.Logger // nil means slog.Default()
	Now     func() time.Time
	Random  func() float64 // in [0, 1); nil means math/rand/v2
}

func (c Config) defaults() (Config, error) {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	num(&c.Concurrency, 16)
	num(&c.Tries, 10)
	num(&c.BreakAfter, 20)
	set(&c.Timeout, 10*time.Second)
	set(&c.Lease, 3*c.Timeout)
	set(&c.Poll, 200*time.Millisecond)
	set(&c.BackoffMin, time.Second)
	set(&c.BackoffMax, 10*time.Minute)
	set(&c.BreakFor, 15*time.Second)
	set(&c.SweepEvery, time.Minute)
	set(&c.SweepAfter, time.Hour)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Ledger == nil {
		return c, fmt.Errorf("payout: no ledger")
	}
	for k := ledger.Wallet; k <= ledger.Refund; k++ {
		if c.Providers[k] == nil {
			return c, fmt.Errorf("payout: no provider for %s", k)
		}
	}
	if c.Lease < 2*c.Timeout {
		return c, fmt.Errorf("payout: a lease of %v is too short for calls of %v: make it at least %v", c.Lease, c.Timeout, 2*c.Timeout)
	}
	if c.Concurrency < 1 || c.Tries < 1 || c.BackoffMax < c.BackoffMin || c.RatePerSecond < 0 {
		return c, fmt.Errorf("payout: concurrency %d, tries %d, backoff %v to %v, rate %v: each must be positive and in order",
			c.Concurrency, c.Tries, c.BackoffMin, c.BackoffMax, c.RatePerSecond)
	}
	return c, nil
}
