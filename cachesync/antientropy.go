package cachesync

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Anti-entropy is the last of the proofs: every CompareEvery a home lists what it holds and
// compares it with every active region, its own too. What a region has older than that, or
// not readable, is written there under the stored version, as if the change came once more.
// What a region has not is left to be filled on demand.
//
// Nothing is found unless something else failed, so each find is counted and alarmed.

// onItsWay is how old a change must be before a region that does not have it is to blame: the
// change log, or a region that is joining, has that long to bring it.
const onItsWay = 10 * time.Second

// compared counts one region's comparisons.
type compared struct{ looked, older, unreadable, failed, unsure atomic.Int64 }

// compares runs until the context ends.
func (s *Syncer) compares(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.CompareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for b := range Buckets {
			if err := s.compareBucket(ctx, b); err != nil && ctx.Err() == nil {
				s.deps.Log.Warn("home cannot be compared with the regions", "home", s.cfg.Region, "bucket", b, "err", err)
				break
			}
		}
	}
}

// compareBucket compares one bucket of this region's own home with all regions.
func (s *Syncer) compareBucket(ctx context.Context, bucket int) error {
	limit := newRate(float64(s.cfg.CompareRate), s.cfg.CompareRate)
	for _, snap := range s.deps.Snapshots {
		known := time.Now() // all of the next piece was read at home after this
		err := snap.Snapshot(ctx, s.cfg.Region, bucket, func(list []Filled) error {
			for _, r := range append(s.probes.peers.active(), s.probes.own) {
				s.compare(ctx, r, list, known)
			}
			err := limit.wait(ctx, len(list))
			known = time.Now()
			return err
		})
		if err != nil {
			return fmt.Errorf("cachesync: snapshot of bucket %d of %s: %w", bucket, s.cfg.Region, err)
		}
	}
	return nil
}

// compare compares a piece of the home, as it was at known, with one region.
func (s *Syncer) compare(ctx context.Context, r *readback, list []Filled, known time.Time) {
	var ops []memcache.Op
	var truth []Filled
	settled := s.deps.Now().Add(-onItsWay).UnixMilli()
	for _, f := range list {
		if f.Err == nil && f.Record.CommitMS < settled {
			truth = append(truth, f)
			ops = append(ops, memcache.Op{Kind: memcache.Get, Key: f.Key})
		}
	}
	if len(ops) == 0 {
		return
	}
	r.store.Do(ctx, ops)
	var writes []apply.Write
	for i := range ops {
		if ops[i].Err != nil { // missing, or not to be reached
			continue
		}
		r.compared.looked.Add(1)
		old, err := Parse(ops[i].Value)
		switch {
		case err != nil:
			r.compared.unreadable.Add(1)
		case old.Refill() || !record.Wins(old, truth[i].Record):
			continue
		default:
			r.compared.older.Add(1)
			s.deps.Log.Error("anti-entropy: a region holds an older version than its home: put right", "region", r.name,
				"key", ops[i].Key, "held", old.Version.String(), "home", truth[i].Record.Version.String())
		}
		writes = append(writes, apply.Write{Key: ops[i].Key, Record: truth[i].Record, Expiry: truth[i].Expiry})
	}
	if len(writes) == 0 {
		return
	}
	if time.Since(known) > MaxFillAge { // as with a fill: it may be outdated by now, and what outdated it evicted
		r.compared.unsure.Add(int64(len(writes)))
		return
	}
	b := apply.Batch{Patience: MaxFillAge}
	if err := b.Apply(ctx, r.store, writes, known); err != nil {
		r.compared.failed.Add(1)
	}
	for i := range writes {
		if r == s.probes.own && writes[i].Outcome == apply.Stored {
			s.applied(writes[i].Key, writes[i].Record.Version, false)
		}
	}
}
