// Package inventory lists what a home holds: the rp: and rm: records of its
// buckets, for regions that join, for repair, and for the warm-up of an hour.
//
//	SCAN {b*}:rp:* {b*}:rm:*  --by bucket-->  source.Fill  -->  records with stored versions
//
// One scan of the keys serves all buckets that are asked for within keepScan.
// w: records are not listed: a missing one means "ask home", never "not won".
//
// An Inventory is safe for all goroutines.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/record"
	"sluice/cachesync/warmup"
	"sluice/gateway/redpacket"
)

const (
	keepScan  = 10 * time.Second
	batchSize = 500
)

// Inventory is one home's.
type Inventory struct {
	name     string
	rdb      redis.UniversalClient
	packets  cachesync.Source
	rooms    cachesync.Source
	now      func() time.Time
	mu       sync.Mutex
	scanned  time.Time
	byBucket [record.Buckets][]string // cache keys, sorted
}

// New lists the home called name; packets and rooms read its records.
func New(name string, rdb redis.UniversalClient, packets, rooms cachesync.Source) *Inventory {
	return &Inventory{name: name, rdb: rdb, packets: packets, rooms: rooms, now: time.Now}
}

// Name is the home's.
func (v *Inventory) Name() string { return v.name }

// Snapshot implements cachesync.Snapshotter.
func (v *Inventory) Snapshot(ctx context.Context, bucket int, emit func([]cachesync.Filled) error) error {
	keys, err := v.keys(ctx, bucket)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(keys, batchSize) {
		filled, err := v.read(ctx, part)
		if err == nil {
			err = emit(filled)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Records implements warmup.Home: the rooms, and the red packets that can be
// drawn from in [from, to).
func (v *Inventory) Records(ctx context.Context, from, to time.Time) iter.Seq2[warmup.HomeRecord, error] {
	return func(yield func(warmup.HomeRecord, error) bool) {
		for bucket := range record.Buckets {
			stop := false
			err := v.Snapshot(ctx, bucket, func(all []cachesync.Filled) error {
				for _, f := range all {
					if strings.HasPrefix(f.Key, record.PrefixRedPacket) && !redpacket.OpenWithin(f.Record.Payload, from.UnixMilli(), to.UnixMilli()) {
						continue
					}
					r := warmup.HomeRecord{Key: f.Key, Record: f.Record}
					if f.Expiry > 0 {
						r.Expires = time.Unix(f.Expiry, 0)
					}
					if stop = !yield(r, nil); stop {
						return errStop
					}
				}
				return nil
			})
			if stop {
				return
			}
			if err != nil {
				yield(warmup.HomeRecord{}, fmt.Errorf("home %s: %w", v.name, err))
				return
			}
		}
	}
}

var errStop = errors.New("stop")

// read fills the keys and leaves out those that have gone meanwhile.
func (v *Inventory) read(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	at, _ := slices.BinarySearch(keys, record.PrefixRedPacket) // "rm:" sorts before "rp:"
	var all []cachesync.Filled
	for _, one := range []struct {
		source cachesync.Source
		keys   []string
	}{{v.rooms, keys[:at]}, {v.packets, keys[at:]}} {
		if len(one.keys) == 0 {
			continue
		}
		filled, err := one.source.Fill(ctx, one.keys)
		if err != nil {
			return nil, err
		}
		for _, f := range filled {
			switch {
			case f.Err == nil:
				all = append(all, f)
			case !errors.Is(f.Err, cachesync.ErrNotFound):
				return nil, f.Err
			}
		}
	}
	return all, nil
}

// keys are the cache keys of one bucket.
func (v *Inventory) keys(ctx context.Context, bucket int) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now().Sub(v.scanned) > keepScan {
		if err := v.scan(ctx); err != nil {
			return nil, err
		}
		v.scanned = v.now()
	}
	return v.byBucket[bucket], nil
}

func (v *Inventory) scan(ctx context.Context) error {
	var found [record.Buckets][]string
	var mu sync.Mutex // masters of a cluster are scanned at the same time
	one := func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, "{b??}:r[pm]:*", 1000).Result()
			if err != nil {
				return fmt.Errorf("inventory: scan: %w", err)
			}
			mu.Lock()
			for _, key := range keys {
				if bucket, cacheKey, ok := record.OfBucketKey(key); ok {
					found[bucket] = append(found[bucket], cacheKey)
				}
			}
			mu.Unlock()
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	var err error
	if cluster, ok := v.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return one(ctx, node) })
	} else {
		err = one(ctx, v.rdb)
	}
	if err != nil {
		return err
	}
	for b := range found { // SCAN may name a key twice
		slices.Sort(found[b])
		found[b] = slices.Compact(found[b])
	}
	v.byBucket = found
	return nil
}
