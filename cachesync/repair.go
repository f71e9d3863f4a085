package cachesync

import (
	"context"
	"errors"
	"fmt"

	"sluice/cachesync/apply"
)

// repair copies what the home holds of one bucket, add-if-newer.
func (s *Syncer) repair(ctx context.Context, l *link, bucket int) error {
	_, err := s.copyBucket(ctx, l, bucket)
	return err
}

// copyBucket brings one bucket's snapshots here and returns how many records came.
func (s *Syncer) copyBucket(ctx context.Context, l *link, bucket int) (n int, err error) {
	var b apply.Batch
	var writes []apply.Write
	for _, snap := range s.deps.Snapshots {
		err := snap.Snapshot(ctx, l.home.Name, bucket, func(list []Filled) error {
			writes = writes[:0]
			for _, f := range list {
				if f.Err == nil {
					writes = append(writes, apply.Write{Key: f.Key, Record: f.Record, Expiry: f.Expiry})
				}
			}
			n += len(writes)
			if err := b.Apply(ctx, s.store, writes, s.deps.Now()); err != nil {
				return err
			}
			for i := range writes {
				s.applied(writes[i].Key, writes[i].Record.Version)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return n, fmt.Errorf("cachesync: snapshot of bucket %d of %s: %w", bucket, l.home.Name, err)
		}
	}
	return n, nil
}
