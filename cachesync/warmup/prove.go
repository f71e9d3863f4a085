package warmup

import (
	"context"
	"time"

	"sluice/cachesync/warmup/proof"
)

// readBack reads the sample from every region.
func (r *run) readBack(ctx context.Context) error {
	r.pass.Store("proving")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, t := range r.targets {
		c, err := proof.ReadBack(ctx, t.c, r.ledger.sample)
		if err != nil {
			return err
		}
		r.regionResult(t).Coverage = &c
	}
	return nil
}

// prove proves what was written, and notes it.
func (r *run) prove(ctx context.Context) error {
	if err := r.covered(ctx); err != nil {
		return err
	}
	r.proved()
	if !r.cfg.Before.IsZero() && r.warmed.After(r.cfg.Before) {
		return r.saved(ctx, fail(ExitLate, "done and proved, but %s after the deadline", r.warmed.Sub(r.cfg.Before).Round(time.Second)))
	}
	if err := r.save(ctx); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if r.cfg.Stay > 0 {
		return r.stay(ctx)
	}
	return nil
}

// covered reads back, and judges what it found.
func (r *run) covered(ctx context.Context) error {
	if err := r.readBack(ctx); err != nil {
		if cerr := r.cause(ctx); cerr != nil {
			return cerr
		}
		return fail(ExitTarget, "the proof could not be read: %w", err)
	}
	var worst *Failure
	for _, t := range r.targets {
		c := *r.regionResult(t).Coverage
		if low, _ := c.Interval(); low < r.cfg.Coverage {
			worst = fail(ExitCoverage, "region %s: %s of the sampled keys are there, at least %.2f %% must be", t.Name, c, 100*r.cfg.Coverage)
		}
	}
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			again, why := n.again || n.lost, n.why
			n.mu.Unlock()
			if again && (worst != nil || r.cfg.Feed.Repeatable()) {
				worst = fail(ExitTarget, "region %s: node %s %s and could not be warmed again", t.Name, addr, why)
			}
		}
	}
	if worst != nil {
		return r.saved(ctx, worst)
	}
	return nil
}
