package warmup

import (
	"context"
	"time"

	"sluice/cachesync/warmup/source"
)

// warm runs the main pass, then passes for the nodes that lost their data.
func (r *run) warm(ctx context.Context) error {
	r.pass.Store("")
	// The observer needs a position on disk before the first kill, too.
	if err := r.save(ctx); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if err := r.read(ctx, r.ledger.position, nil); err != nil {
		return err
	}
	c := r.ledger.totals()
	if r.cfg.Expect > 0 && c.Rows < r.cfg.Expect {
		return r.saved(ctx, fail(ExitSource, "%s ended early: %d rows instead of at least %d", r.cfg.Feed.Name(), c.Rows, r.cfg.Expect))
	}
	if c.Rows == 0 && !r.size.MayBeEmpty {
		return fail(ExitSource, "%s is empty: no row read", r.cfg.Feed.Name())
	}
	if c.Rows > 0 && c.Rows == c.Bad+c.Filtered {
		return fail(ExitSource, "%s has no usable row: %d bad, %d left out by the filter", r.cfg.Feed.Name(), c.Bad, c.Filtered)
	}
	if err := r.tooManyBad(c.Bad, c.Rows, r.lastBad); err != nil {
		return err
	}
	return r.repeat(ctx)
}

// repeat warms nodes again until none needs it, or none can be helped.
func (r *run) repeat(ctx context.Context) error {
	waitUntil := r.cfg.Clock().Add(r.cfg.WaitNode)
	for {
		only, names, down := r.needy(ctx)
		if len(only) == 0 && down == 0 {
			return nil
		}
		if !r.cfg.Feed.Repeatable() {
			r.cfg.Log.Warn("warm: nodes lost data that stdin cannot give again", "nodes", names)
			return nil
		}
		if len(only) == 0 {
			if ctx.Err() != nil || r.cfg.Clock().After(waitUntil) {
				return r.cause(ctx)
			}
			r.pass.Store("waiting for a node")
			sleep(ctx, 200*time.Millisecond)
			continue
		}
		r.pass.Store("again: " + names)
		r.cfg.Log.Info("warm: nodes are warmed again", "nodes", names)
		if err := r.read(ctx, source.Position{}, only); err != nil {
			return err
		}
	}
}

// needy are the nodes to be warmed again that answer, and how many do not.
func (r *run) needy(ctx context.Context) (only map[*nodeState]bool, names string, down int) {
	only = map[*nodeState]bool{}
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			again := n.again || n.lost
			n.mu.Unlock()
			if !again {
				continue
			}
			if _, err := t.canary(ctx, addr); err != nil {
				down++
				continue
			}
			n.mu.Lock()
			why := n.why
			if n.lost {
				t.lost.Add(-1)
			}
			n.again, n.lost = false, false
			n.mu.Unlock()
			only[n] = true
			if names != "" {
				names += ", "
			}
			names += t.Name + " " + addr
			if why != "" {
				names += " (" + why + ")"
			}
			r.result.Again = append(r.result.Again, t.Name+" "+addr+": "+why)
		}
	}
	return only, names, down
}

// stay keeps the set warm: nodes that lose their data are warmed again, with proof.
func (r *run) stay(ctx context.Context) error {
	until := r.cfg.Clock().Add(r.cfg.Stay)
	for r.cfg.Clock().Before(until) && ctx.Err() == nil {
		r.pass.Store("staying until " + until.Format(time.TimeOnly))
		sleep(ctx, 500*time.Millisecond)
		only, names, _ := r.needy(ctx)
		if len(only) == 0 {
			continue
		}
		r.pass.Store("again: " + names)
		err := r.read(ctx, source.Position{}, only)
		if err == nil {
			err = r.covered(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
