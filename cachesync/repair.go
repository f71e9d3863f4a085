package cachesync

import (
	"context"
	"errors"
	"fmt"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
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

func (s *Syncer) warmSoon() {
	select {
	case s.cold <- struct{}{}:
	default:
	}
}

// rewarm warms whenever there is need.
func (s *Syncer) rewarm(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cold:
			s.warm(ctx)
		}
	}
}

// warm brings back what the own home holds. What other homes hold is filled on demand, and sent
// again by them (see again).
func (s *Syncer) warm(ctx context.Context) {
	wrote, failed := 0, 0
	var last error
	for b := range Buckets {
		n, err := s.bringBack(ctx, b)
		if ctx.Err() != nil {
			return
		}
		if wrote += n; err != nil {
			failed, last = failed+1, err
		}
	}
	if failed > 0 {
		s.deps.Log.Warn("memcached cannot be warmed whole: the rest is filled on demand", "buckets", failed, "err", last)
	}
	s.deps.Log.Info("memcached warmed from this region's home", "records", wrote)
}

// bringBack reads one bucket of the own home whole and writes, under the stored versions, what
// is missing here or older. It returns how many records that were.
func (s *Syncer) bringBack(ctx context.Context, bucket int) (wrote int, err error) {
	var b apply.Batch
	var writes []apply.Write
	for _, snap := range s.deps.Snapshots {
		read := s.deps.Now() // what comes next was read after this
		err := snap.Snapshot(ctx, bucket, func(list []Filled) error {
			writes = writes[:0]
			for _, f := range list {
				if f.Err == nil {
					writes = append(writes, apply.Write{Key: f.Key, Record: f.Record, Expiry: f.Expiry})
				}
			}
			err := b.Apply(ctx, s.store, writes, read)
			read = s.deps.Now()
			if err != nil {
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
			return wrote, fmt.Errorf("cachesync: snapshot of bucket %d: %w", bucket, err)
		}
	}
	return wrote, nil
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
