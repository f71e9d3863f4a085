package cachesync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/goredis"
	"sluice/cachesync/record"
)

// again is anti-entropy: it goes round all records of this region's own home, slowly and for
// ever, and emits each again under the version that it has. A region that has it sees nothing;
// one that has not, for a reason that nobody knew of, is right again.
//
//	SCAN home -> by bucket: WATCH keys, read them, MULTI: XADD each -> change log -> appliers
type again struct {
	s       *Syncer
	torn    chan int             // buckets to be emitted whole: a change in their log cannot be read
	waits   [Buckets]atomic.Bool // those in torn
	rounds  atomic.Int64
	looked  atomic.Int64 // records found at home
	emitted atomic.Int64
	moved   atomic.Int64 // changed between reading and emitting: just emitted by that
	shut    atomic.Int64 // the bucket waits for the certifier
}

const (
	againRest  = 10 * time.Second // between rounds
	againScan  = 256              // keys of one SCAN
	againBatch = 64               // records of one transaction
	tornRate   = 5000             // records a second of a bucket that is emitted whole
	tornRest   = time.Second      // after a failure
)

func (g *again) run(ctx context.Context, l *link) error {
	for ctx.Err() == nil {
		if err := g.round(ctx, l, g.s.cfg.AgainPerSecond); err != nil && ctx.Err() == nil {
			g.s.deps.Log.Warn("anti-entropy cannot read its home", "home", l.home.Name, "err", err)
		}
		pause(ctx, againRest)
	}
	return ctx.Err()
}

// soon says that a change in the bucket's log cannot be read, here or anywhere.
func (g *again) soon(bucket int) {
	if !g.waits[bucket].Swap(true) {
		g.torn <- bucket // has room for all of them
	}
}

// mend emits at once the buckets that soon was called for: what the change was, the home knows.
func (g *again) mend(ctx context.Context, l *link) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-g.torn:
			g.waits[b].Store(false) // what comes from now on may be behind the pass
			if err := g.pass(ctx, l, record.BucketKey(b, "*"), tornRate); err != nil && ctx.Err() == nil {
				g.s.deps.Log.Warn("a bucket cannot be sent again now", "home", l.home.Name, "bucket", b, "err", err)
				g.soon(b)
				pause(ctx, tornRest)
			}
		}
	}
}

// round looks at all records once, perSecond of them at most.
func (g *again) round(ctx context.Context, l *link, perSecond int) error {
	err := g.pass(ctx, l, "{b??}:*", perSecond)
	if err == nil {
		g.rounds.Add(1)
	}
	return err
}

// pass looks at those whose keys at home match.
func (g *again) pass(ctx context.Context, l *link, match string, perSecond int) error {
	began := time.Now()
	err := goredis.Scan(ctx, l.rdb, match, againScan, func(keys []string) error {
		n, err := g.emitAll(ctx, l, keys)
		if err != nil {
			return err
		}
		due := time.Duration(n) * time.Second / time.Duration(perSecond)
		pause(ctx, max(5*time.Millisecond, due-time.Since(began)))
		began = time.Now()
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("cachesync: anti-entropy: %w", err)
	}
	return nil
}

// emitAll emits those of the Redis keys that are records, and returns how many it looked at.
func (g *again) emitAll(ctx context.Context, l *link, redisKeys []string) (n int, err error) {
	type group struct {
		bucket int
		prefix string
	}
	groups := map[group][]string{}
	for _, key := range redisKeys {
		bucket, name, ok := record.OfBucketKey(key)
		prefix, _, _ := strings.Cut(name, ":")
		if _, known := g.s.deps.Truth[prefix+":"]; ok && known {
			groups[group{bucket, prefix + ":"}] = append(groups[group{bucket, prefix + ":"}], name)
		}
	}
	for at, names := range groups {
		for part := range slices.Chunk(names, againBatch) {
			n += len(part)
			g.looked.Add(int64(len(part)))
			switch err := g.emit(ctx, l.rdb, at.bucket, g.s.deps.Truth[at.prefix], part); {
			case err == nil:
			case errors.Is(err, redis.TxFailedErr):
				g.moved.Add(int64(len(part)))
			case errors.Is(err, ErrLater), redis.HasErrorPrefix(err, "NOSCRIPT"), redis.HasErrorPrefix(err, changelog.Fenced):
				g.shut.Add(int64(len(part)))
			default:
				return n, fmt.Errorf("bucket %d: %w", at.bucket, err)
			}
		}
	}
	return n, nil
}

// emit sends records of one bucket, unless one of them changes meanwhile.
func (g *again) emit(ctx context.Context, rdb redis.UniversalClient, bucket int, source Source, keys []string) error {
	watched := make([]string, len(keys))
	for i, key := range keys {
		watched[i] = record.BucketKey(bucket, key)
	}
	return rdb.Watch(ctx, func(tx *redis.Tx) error {
		head, err := changelog.Head(ctx, tx, bucket)
		if err != nil {
			return err
		}
		filled, err := source.Fill(ctx, keys)
		if err != nil {
			return err
		}
		var list []changelog.Change
		for _, f := range filled {
			switch {
			case f.Err == nil:
				list = append(list, changelog.Change{Key: f.Key, Expiry: f.Expiry, Record: f.Record})
			case !errors.Is(f.Err, ErrNotFound):
				return f.Err
			}
		}
		if len(list) == 0 {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, c := range list {
				changelog.Again(ctx, p, bucket, head.Epoch, c)
			}
			return nil
		})
		if err == nil {
			g.emitted.Add(int64(len(list)))
		}
		return err
	}, watched...)
}
