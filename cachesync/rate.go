package cachesync

import (
	"context"
	"sync"
	"time"
)

// rate is a token bucket that can take tokens back: those of keys that turned out to need
// no question to the source.
type rate struct {
	mu        sync.Mutex
	perSecond float64
	burst     float64
	tokens    float64
	at        time.Time
}

func newRate(perSecond float64, burst int) *rate {
	return &rate{perSecond: perSecond, burst: float64(burst), tokens: float64(burst)}
}

// take takes n tokens, on credit when they are not there, and tells how long to wait for them.
func (r *rate) take(n int, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() {
		r.tokens = min(r.burst, r.tokens+now.Sub(r.at).Seconds()*r.perSecond)
	}
	r.at = now
	r.tokens -= float64(n)
	return time.Duration(max(0, -r.tokens) / r.perSecond * float64(time.Second))
}

func (r *rate) wait(ctx context.Context, n int) error {
	d := r.take(n, time.Now())
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *rate) giveBack(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(r.burst, r.tokens+float64(n))
}
