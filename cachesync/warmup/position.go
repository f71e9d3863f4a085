package warmup

import (
	"context"

	"sluice/cachesync/memcache"
	"sluice/cachesync/warmup/state"
)

// load takes up a saved position, or begins anew.
func (r *run) load(ctx context.Context) error {
	saved, ok, err := r.file.Load()
	if err != nil {
		return fail(ExitUsage, "%w", err)
	}
	r.ledger = newLedger(2*r.cfg.Workers+4, r.cfg.Sample)
	r.st = state.State{Set: r.cfg.Set, Source: fingerprint(r.cfg.Feed), OpenedAt: r.begin, LastDone: saved.LastDone}
	if !ok || r.cfg.Restart || saved.Done || saved.Set != r.st.Set || saved.Source != r.st.Source {
		return nil
	}
	r.resumed = true
	r.st = saved
	r.ledger.position, r.ledger.counts = saved.Position, saved.Counts
	r.ledger.sample.Restore(saved.Sample)
	r.rowsAtStart, r.readRows, r.readBad = saved.Counts.Rows, saved.Counts.Rows, saved.Counts.Bad
	now := r.canaries(ctx, nil)
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			key := t.Name + " " + addr
			if was := saved.Canaries[key]; was == "" || was != now[key] {
				n.markAgain("lost its data since the last run")
			}
		}
	}
	return nil
}

// canary is the id of a node, "" when it has none; the error says that it does not answer.
func (t *target) canary(ctx context.Context, addr string) (id string, err error) {
	ops := []memcache.Op{{Kind: memcache.Get, Key: memcache.CanaryKey}}
	err = t.c.DoNode(ctx, addr, ops)
	return string(ops[0].Value), err
}

// canaries are the ids that tell whether a node lost its data. A node that does not answer keeps the
// one it had: it stands for all that was written since.
func (r *run) canaries(ctx context.Context, had map[string]string) map[string]string {
	ids := map[string]string{}
	for _, t := range r.targets {
		for _, addr := range t.c.Nodes() {
			key := t.Name + " " + addr
			if id, ok := had[key]; ok {
				ids[key] = id
			}
			for range 3 { // a slow node has not lost its data
				if id, err := t.canary(ctx, addr); err == nil {
					ids[key] = id
					break
				}
			}
		}
	}
	return ids
}

func (r *run) save(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	if ctx.Err() != nil { // canaries could not be read: better the last good state
		return ctx.Err()
	}
	r.ledger.snapshot(&r.st)
	r.st.Canaries, r.st.SavedAt = r.canaries(ctx, r.st.Canaries), r.cfg.Clock()
	// A node that must be warmed again must be so after a restart too.
	for _, t := range r.targets {
		for addr, n := range t.nodes {
			n.mu.Lock()
			if n.again {
				delete(r.st.Canaries, t.Name+" "+addr)
			}
			n.mu.Unlock()
		}
	}
	return r.file.Save(r.st)
}

func (r *run) saved(ctx context.Context, err error) error {
	r.save(ctx)
	return err
}

// proved marks the set as done, while the observer may be saving.
func (r *run) proved() {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.st.Done, r.st.LastDone = true, r.st.OpenedAt
}
