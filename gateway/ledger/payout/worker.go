package payout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"

	"sluice/gateway/ledger"
)

// Worker pays out until its context ends.
type Worker struct {
	Config
	lanes map[ledger.Kind]*lane
}

// lane is one kind's way out.
type lane struct {
	kind    ledger.Kind
	pay     Provider
	breaker circuitbreaker.CircuitBreaker[any]
	limit   *rate.Limiter
}

// New checks the configuration. It does no I/O.
func New(c Config) (*Worker, error) {
	c, err := c.defaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{Config: c, lanes: map[ledger.Kind]*lane{}}
	for k := ledger.Wallet; k <= ledger.Refund; k++ {
		l := &lane{kind: k, pay: c.Providers[k], limit: rate.NewLimiter(rate.Inf, 0)}
		if c.RatePerSecond > 0 {
			l.limit = rate.NewLimiter(rate.Limit(c.RatePerSecond), max(1, int(c.RatePerSecond/10)))
		}
		l.breaker = circuitbreaker.NewBuilder[any]().WithFailureThreshold(uint(c.BreakAfter)).WithSuccessThreshold(1).WithDelay(c.BreakFor).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				c.Logger.Warn("pay-out breaker", "kind", k.String(), "from", e.OldState.String(), "to", e.NewState.String())
			}).Build()
		w.lanes[k] = l
	}
	return w, nil
}

// Run claims and pays until ctx ends; calls under way then finish and are
// recorded. It returns nil, or the first error that keeps it from working at
// all (there is none at present: the ledger being away is waited out).
func (w *Worker) Run(ctx context.Context) error {
	work := make(chan ledger.Payout)
	paid := make(chan ledger.Outcome, w.Concurrency)
	var callers, recorder sync.WaitGroup
	recorder.Go(func() { w.record(context.WithoutCancel(ctx), paid) })
	for range w.Concurrency {
		callers.Go(func() {
			for p := range work {
				w.one(ctx, p, paid)
			}
		})
	}
	var sweeper sync.WaitGroup
	sweeper.Go(func() { w.sweep(ctx) })
	w.claim(ctx, work)
	close(work)
	callers.Wait()
	close(paid)
	recorder.Wait()
	sweeper.Wait()
	return nil
}

// claim feeds the callers. It claims few at a time: a lease runs while a
// pay-out waits for a free caller.
func (w *Worker) claim(ctx context.Context, work chan<- ledger.Payout) {
	for ctx.Err() == nil {
		got, err := w.Ledger.Claim(ctx, w.Concurrency, w.Lease)
		if err != nil && ctx.Err() == nil {
			w.Logger.Error("pay-out: claim", "err", err)
		}
		for _, p := range got {
			work <- p // callers never stop before this channel is closed
		}
		if len(got) == 0 || w.blocked() {
			pause(ctx, w.Poll)
		}
	}
}

// blocked reports whether no kind can be paid at present.
func (w *Worker) blocked() bool {
	for _, l := range w.lanes {
		if !l.breaker.IsOpen() || l.breaker.RemainingDelay() <= 0 {
			return false
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// one pays one, or gives it back.
func (w *Worker) one(ctx context.Context, p ledger.Payout, paid chan<- ledger.Outcome) {
	l := w.lanes[p.Kind]
	if wait, ok := l.enter(w.Lease - w.Timeout - w.Timeout/2); !ok {
		w.postpone(ctx, p, wait, "provider is down or at its rate: not tried")
		return
	} else if wait > 0 {
		if pause(ctx, wait); ctx.Err() != nil {
			w.postpone(ctx, p, 0, "shutting down: not tried")
			return
		}
	}
	// Not the worker's own context: a call under way finishes when it ends.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Timeout)
	start := time.Now()
	reference, err := l.safely(call, p)
	cancel()
	w.Metrics.took.WithLabelValues(p.Kind.String()).Observe(time.Since(start).Seconds())
	switch {
	case err == nil:
		l.breaker.RecordSuccess()
		w.count(p, "paid")
		paid <- ledger.Outcome{Key: p.Key, Reference: reference, At: w.Now()}
	case errors.Is(err, ErrRefused):
		l.breaker.RecordSuccess() // it answers
		w.count(p, "refused")
		w.dead(ctx, p, err)
	default:
		l.breaker.RecordFailure()
		w.count(p, "failed")
		if p.Tries >= w.Tries {
			w.dead(ctx, p, err)
			return
		}
		w.back(ctx, p, err.Error(), w.Now().Add(w.backoff(p.Tries)))
	}
}

// enter asks breaker and rate. When the wait would eat the lease, it is
// refused, and wait tells when to come again.
func (l *lane) enter(patience time.Duration) (wait time.Duration, ok bool) {
	r := l.limit.Reserve()
	wait = r.Delay()
	if wait > patience {
		r.Cancel()
		return wait, false
	}
	if !l.breaker.TryAcquirePermit() {
		r.Cancel()
		return max(l.breaker.RemainingDelay(), 100*time.Millisecond), false
	}
	return wait, true
}

// safely keeps a provider's panic to its own pay-out.
func (l *lane) safely(ctx context.Context, p ledger.Payout) (reference string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s %s: panic: %v", p.Kind, p.Key, r)
		}
	}()
	return l.pay.Pay(ctx, p)
}

// backoff is full jitter: random in [0, BackoffMin * 2^(tries-1)), at most BackoffMax.
func (w *Worker) backoff(tries int) time.Duration {
	d := w.BackoffMax
	if n := tries - 1; n < 32 && w.BackoffMin<<n > 0 {
		d = min(d, w.BackoffMin<<n)
	}
	return time.Duration(w.Random() * float64(d))
}

// postpone gives back what was not tried: no try is counted.
func (w *Worker) postpone(ctx context.Context, p ledger.Payout, wait time.Duration, why string) {
	w.count(p, "postponed")
	p.Tries--
	if p.LastError != "" {
		why = p.LastError
	}
	w.back(ctx, p, why, w.Now().Add(wait+time.Duration(w.Random()*float64(wait)/4)))
}

func (w *Worker) back(ctx context.Context, p ledger.Payout, cause string, due time.Time) {
	if err := w.Ledger.Fail(context.WithoutCancel(ctx), p, cut(cause), due); err != nil {
		// The lease gives it back instead.
		w.Logger.Error("pay-out: give back", "key", p.Key, "err", err)
	}
}

func (w *Worker) dead(ctx context.Context, p ledger.Payout, cause error) {
	ctx = context.WithoutCancel(ctx)
	if err := w.Ledger.Dead(ctx, p, cut(cause.Error()), w.Now().Add(w.SweepAfter)); err != nil {
		w.Logger.Error("pay-out: dead letter", "key", p.Key, "err", err)
		return
	}
	w.Metrics.dead.WithLabelValues(p.Kind.String()).Inc()
	w.Logger.Error("pay-out is a dead letter; see `sluice redpacket payouts --stuck`", "key", p.Key, "kind", p.Kind.String(), "tries", p.Tries, "cause", cause)
	if w.Alarm != nil {
		w.Alarm(ctx, p, cause)
	}
}

func (w *Worker) count(p ledger.Payout, result string) {
	w.Metrics.tries.WithLabelValues(p.Kind.String(), result).Inc()
}

// maxCause bounds the error text kept with a pay-out.
const maxCause = 500

// cut makes a text that every database takes: a provider's words may hold anything.
func cut(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxCause)], "?")
	return strings.ReplaceAll(s, "\x00", "?")
}

// record ends paid ones, many at a time. A ledger that is away is waited for:
// what was paid must be recorded, or it is called again when the lease ends
// (which its key makes harmless).
func (w *Worker) record(ctx context.Context, paid <-chan ledger.Outcome) {
	for o := range paid {
		batch := append(make([]ledger.Outcome, 0, 64), o)
	more:
		for len(batch) < 256 {
			select {
			case o, ok := <-paid:
				if !ok {
					break more
				}
				batch = append(batch, o)
			default:
				break more
			}
		}
		for try := 1; ; try++ {
			err := w.Ledger.Done(ctx, batch)
			if err == nil {
				break
			}
			w.Logger.Error("pay-out: record", "n", len(batch), "first", batch[0].Key, "err", err)
			if try == 5 {
				break // the leases give them back
			}
			pause(ctx, time.Duration(try)*w.Poll)
		}
	}
}

// sweep gives dead letters another round once they have rested.
func (w *Worker) sweep(ctx context.Context) {
	for {
		if pause(ctx, w.SweepEvery); ctx.Err() != nil {
			return
		}
		n, err := w.Ledger.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.Error("pay-out: sweep", "err", err)
		}
		if n > 0 {
			w.Metrics.swept.Add(float64(n))
			w.Logger.LogAttrs(ctx, slog.LevelInfo, "pay-out: dead letters are tried again", slog.Int("n", n))
		}
	}
}
