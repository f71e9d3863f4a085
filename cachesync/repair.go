package cachesync

import (
	"context"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
)

// nodeCold is called when a node lost its data (the saved position there is gone): the last
// changes are repeated, misses are filled on demand, and what this region's own home can list is
// brought back at once.
func (s *Syncer) nodeCold(string) {
	for _, c := range s.deps.Caches {
		c.Forget()
	}
	for _, l := range s.links {
		for _, a := range l.all() {
			a.Rewind()
		}
	}
	s.warmSoon()
}

// nodeStale is called when a node is back that the process before this one had given up. It is
// emptied, and then found to be cold.
func (s *Syncer) nodeStale(node string) {
	s.deps.Log.Warn("memcached node missed changes before this process began: it is emptied", "node", node)
	if c, ok := s.store.(interface{ MustEmpty(node string) }); ok {
		c.MustEmpty(node)
	}
}

func (s *Syncer) warmSoon() {
	select {
	case s.cold <- struct{}{}:
	default:
	}
}

// rewarm warms whenever there is need, once more when a node is back that was down meanwhile.
func (s *Syncer) rewarm(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cold:
		}
		if missed := s.warm(ctx); missed != "" {
			s.warmSoon()
			s.answers(ctx, missed)
		}
	}
}

// answers waits until the node of a key does.
func (s *Syncer) answers(ctx context.Context, key string) {
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		op := []memcache.Op{{Kind: memcache.Get, Key: key}}
		s.store.Do(ctx, op)
		if !memcache.IsTransport(op[0].Err) {
			return
		}
	}
}

// warm brings back what the own home holds. What other homes hold is filled on demand, and sent
// again by them (see again). It returns a key whose node did not take it.
func (s *Syncer) warm(ctx context.Context) (missed string) {
	wrote := 0
	for _, snap := range s.deps.Snapshots {
		n, key, err := s.bringBack(ctx, snap)
		wrote += n
		if ctx.Err() != nil {
			return ""
		}
		if key != "" {
			missed = key
		}
		if err != nil {
			s.deps.Log.Warn("memcached cannot be warmed whole: the rest is filled on demand", "err", err)
		}
	}
	s.deps.Log.Info("memcached warmed from this region's home", "records", wrote)
	return missed
}

// bringBack writes, under the stored versions, what is missing here or older. It returns how many
// records that were, and a key whose node did not take it: that holds up no other node.
func (s *Syncer) bringBack(ctx context.Context, snap Snapshotter) (wrote int, missed string, err error) {
	var b apply.Batch
	var writes []apply.Write
	read := s.deps.Now() // what comes next was read after this
	var failed error
	err = snap.Snapshot(ctx, func(list []Filled) error {
		writes = writes[:0]
		for _, f := range list {
			if f.Err == nil {
				writes = append(writes, apply.Write{Key: f.Key, Record: f.Record, Expiry: f.Expiry})
			}
		}
		if err := b.Apply(ctx, s.store, writes, read); err != nil {
			failed = err
		}
		read = s.deps.Now()
		for i := range writes {
			switch w := &writes[i]; {
			case w.Outcome == apply.Stored:
				wrote++
				s.applied(w.Key, w.Record.Version, false)
			case memcache.IsTransport(w.Err):
				missed = w.Key
			}
		}
		return ctx.Err()
	})
	if err == nil {
		err = failed
	}
	return wrote, missed, err
}

func (s *Syncer) ack(ctx context.Context, l *link, at map[int]changelog.ID) error {
	l.mu.Lock()
	for b, id := range at {
		l.at[b] = id
	}
	all := make(map[int]changelog.ID, len(l.at))
	for b, id := range l.at {
		all[b] = id
	}
	l.mu.Unlock()
	return s.ackAt(ctx, l, "", all)
}

func (s *Syncer) ackAt(ctx context.Context, l *link, mark string, at map[int]changelog.ID) error {
	return changelog.Ack(ctx, l.rdb, s.cfg.Region, l.acks.Add(1), mark+apply.FormatPositions(at))
}
