// Package inventory lists what a home holds: the rp: and rm: records of its
// buckets, for regions that join, for repair, and for the warm-up of an hour.
//
//	SCAN {b*}:rp:* {b*}:rm:*  --in pieces-->  source.Fill  -->  records with stored versions
//
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
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/goredis"
	"sluice/cachesync/record"
	"sluice/cachesync/warmup"
	"sluice/gateway/redpacket"
)

// batchSize is how many keys are looked for at once.
const batchSize = 1000

// Inventory is one home's.
type Inventory struct {
	name    string
	rdb     redis.UniversalClient
	packets cachesync.Source
	rooms   cachesync.Source
}

// New lists the home called name; packets and rooms read its records.
func New(name string, rdb redis.UniversalClient, packets, rooms cachesync.Source) *Inventory {
	return &Inventory{name: name, rdb: rdb, packets: packets, rooms: rooms}
}

// Name is the home's.
func (v *Inventory) Name() string { return v.name }

// Snapshot implements cachesync.Snapshotter.
func (v *Inventory) Snapshot(ctx context.Context, emit func([]cachesync.Filled) error) error {
	var unread error
	err := goredis.Scan(ctx, v.rdb, records, batchSize, func(keys []string) error {
		filled, err := v.read(ctx, keys)
		if err != nil && unread == nil {
			unread = err
		}
		return emit(filled)
	})
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	return unread
}

// Records implements warmup.Home: the rooms, and the red packets that can be
// drawn from in [from, to), always in the same order.
func (v *Inventory) Records(ctx context.Context, from, to time.Time) iter.Seq2[warmup.HomeRecord, error] {
	return func(yield func(warmup.HomeRecord, error) bool) {
		failed := func(err error) { yield(warmup.HomeRecord{}, fmt.Errorf("home %s: %w", v.name, err)) }
		keys, err := v.keys(ctx)
		if err != nil {
			failed(err)
			return
		}
		for part := range slices.Chunk(keys, batchSize) {
			all, err := v.read(ctx, part)
			if err != nil {
				failed(err)
				return
			}
			for _, f := range all {
				if strings.HasPrefix(f.Key, record.PrefixRedPacket) && !redpacket.OpenWithin(f.Record.Payload, from.UnixMilli(), to.UnixMilli()) {
					continue
				}
				r := warmup.HomeRecord{Key: f.Key, Record: f.Record}
				if f.Expiry > 0 {
					r.Expires = time.Unix(f.Expiry, 0)
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// records are Redis' keys of what is listed.
const records = "{b??}:r[pm]:*"

// keys are all of them, sorted.
func (v *Inventory) keys(ctx context.Context) (all []string, err error) {
	err = goredis.Scan(ctx, v.rdb, records, batchSize, func(keys []string) error {
		all = append(all, keys...)
		return nil
	})
	slices.Sort(all)
	return slices.Compact(all), err // SCAN may name a key twice
}

// read fills what Redis' keys stand for, and leaves out what has gone meanwhile. What cannot be
// read, a bucket that waits for its certifier among it, is left out too, with an error.
func (v *Inventory) read(ctx context.Context, redisKeys []string) (all []cachesync.Filled, failed error) {
	var rooms, packets []string
	for _, key := range redisKeys {
		switch _, name, ok := record.OfBucketKey(key); {
		case !ok:
		case strings.HasPrefix(name, record.PrefixRoom):
			rooms = append(rooms, name)
		default:
			packets = append(packets, name)
		}
	}
	for _, one := range []struct {
		source cachesync.Source
		keys   []string
	}{{v.rooms, rooms}, {v.packets, packets}} {
		if len(one.keys) == 0 {
			continue
		}
		filled, err := one.source.Fill(ctx, one.keys)
		if err != nil {
			failed = err
		}
		for _, f := range filled {
			switch {
			case f.Err == nil:
				all = append(all, f)
			case !errors.Is(f.Err, cachesync.ErrNotFound):
				failed = f.Err
			}
		}
	}
	return all, failed
}
