package cachesync

import (
	"context"
	"errors"
	"fmt"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
)

// AntiEntropy reads one bucket of a home whole and writes, under the stored versions, what
// this region has not or has older. It returns how many records it looked at and how many it
// had to write.
func (s *Syncer) AntiEntropy(ctx context.Context, home string, bucket int) (looked, wrote int, err error) {
	var b apply.Batch
	var writes []apply.Write
	for _, snap := range s.deps.Snapshots {
		err := snap.Snapshot(ctx, home, bucket, func(list []Filled) error {
			writes = writes[:0]
			for _, f := range list {
				if f.Err == nil {
					writes = append(writes, apply.Write{Key: f.Key, Record: f.Record, Expiry: f.Expiry})
				}
			}
			looked += len(writes)
			if err := b.Apply(ctx, s.store, writes, s.deps.Now()); err != nil {
				return err
			}
			for i := range writes {
				if writes[i].Outcome == apply.Stored {
					wrote++
					s.applied(writes[i].Key, writes[i].Record.Version, false)
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return looked, wrote, fmt.Errorf("cachesync: snapshot of bucket %d of %s: %w", bucket, home, err)
		}
	}
	return looked, wrote, nil
}

// NodeCold is called when a node lost its data (the saved position there is gone, or the
// canary): the last changes are repeated, misses are filled on demand, and what the homes can
// list is brought back at once.
func (s *Syncer) NodeCold(node string) {
	for _, c := range s.deps.Caches {
		c.Forget()
	}
	for _, l := range s.links {
		for _, a := range l.all() {
			a.Rewind()
		}
	}
	select {
	case s.cold <- node:
	default:
	}
}

// rewarm runs anti-entropy over all buckets whenever a node lost its data.
func (s *Syncer) rewarm(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cold:
		}
		wrote := 0
		for _, l := range s.links {
			for b := range Buckets {
				_, n, err := s.AntiEntropy(ctx, l.home.Name, b)
				if err != nil && ctx.Err() == nil {
					s.deps.Log.Warn("cold node cannot be warmed from home", "home", l.home.Name, "bucket", b, "err", err)
					break
				}
				wrote += n
			}
		}
		s.deps.Log.Info("cold node warmed from the homes", "records", wrote)
	}
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
