package room

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
)

var (
	//go:embed put.lua
	putText string
	//go:embed enter.lua
	enterText string
)

// Scripts are the texts that must be loaded at a home once the certifier has
// certified its buckets: the first carries the epoch and changes a room; the
// other takes a viewer's place, and a relay passes it on only by its name.
func Scripts(epoch uint64) []string { return []string{changelog.Prelude(epoch) + putText, enterText} }

// ErrFenced: the bucket's Redis waits for the certifier; nothing was changed.
var ErrFenced = errors.New("room: the bucket waits for the certifier")

// Store is the truth of rooms at their home.
type Store struct {
	rdb   redis.UniversalClient
	enter *redis.Script
}

// NewStore keeps rooms in a home's Redis.
func NewStore(rdb redis.UniversalClient) *Store {
	return &Store{rdb: rdb, enter: redis.NewScript(enterText)}
}

func roomKey(bucket int, id string) string { return record.BucketKey(bucket, "rm:"+id) }

// Get reads a room at its home, with its version.
func (s *Store) Get(ctx context.Context, id string) (*Room, cachesync.Version, error) {
	if !ValidID(id) {
		return nil, 0, ErrNotFound
	}
	return stored(id, ask(ctx, s.rdb, id))
}

// ask reads a room's fields, or puts that into a pipeline.
func ask(ctx context.Context, rdb redis.Cmdable, id string) *redis.SliceCmd {
	return rdb.HMGet(ctx, roomKey(record.BucketOf(id), id), "doc", "e", "m", "c")
}

// stored takes apart what ask read.
func stored(id string, fields *redis.SliceCmd) (*Room, cachesync.Version, error) {
	vals, err := fields.Result()
	if err != nil {
		return nil, 0, fmt.Errorf("room: read %s: %w", id, err)
	}
	doc, ok := vals[0].(string)
	if !ok {
		return nil, 0, ErrNotFound
	}
	var parts [3]uint64
	for i := range parts {
		text, _ := vals[i+1].(string)
		if parts[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, 0, fmt.Errorf("room: %s has no version: %w", id, err)
		}
	}
	r, err := parse([]byte(doc))
	return r, cachesync.MakeVersion(parts[0], int64(parts[1]), parts[2]), err
}

// tries of a change that others change at the same time.
const tries = 20

// Change reads a room (nil when there is none), lets f change it, and stores
// what f returns unless somebody else stored meanwhile: then again.
func (s *Store) Change(ctx context.Context, id string, f func(*Room) (*Room, error)) (*Room, error) {
	for range tries {
		old, version, err := s.Get(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		next, err := f(old)
		if err != nil {
			return nil, err
		}
		next.ID = id
		slices.Sort(next.Bans)
		next.Bans = slices.Compact(next.Bans)
		if err := next.Check(); err != nil {
			return nil, err
		}
		stored, err := s.put(ctx, next, version)
		if err != nil || stored {
			return next, err
		}
	}
	return nil, fmt.Errorf("room: %s is changed by too many at once; try again", id)
}

func (s *Store) put(ctx context.Context, r *Room, old cachesync.Version) (stored bool, err error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("room: %w", err)
	}
	bucket := record.BucketOf(r.ID)
	head, err := changelog.Head(ctx, s.rdb, bucket)
	if err != nil {
		return false, err
	}
	script := redis.NewScript(Scripts(head.Epoch)[0])
	keys := []string{changelog.MetaKey(bucket), changelog.LogKey(bucket), roomKey(bucket, r.ID)}
	before := ""
	if old != 0 {
		before = fmt.Sprintf("%d %d %d", old.Epoch(), old.MS(), old.Counter())
	}
	n, err := script.EvalSha(ctx, s.rdb, keys, doc, before, record.RoomKey(r.ID), int(record.TypeRoom)).Int()
	switch {
	case err != nil && (strings.HasPrefix(err.Error(), "NOSCRIPT") || strings.HasPrefix(err.Error(), changelog.Fenced)):
		return false, fmt.Errorf("%w: %w", ErrFenced, err)
	case err != nil:
		return false, fmt.Errorf("room: store %s: %w", r.ID, err)
	}
	return n == 1, nil
}

// Take takes a viewer's place in a room with a capacity: true when he had one
// or there was one left. It ends by itself after life.
func (s *Store) Take(ctx context.Context, r *Room, uid string, life time.Duration) (bool, error) {
	key := record.BucketKey(record.BucketOf(r.ID), "rv:"+r.ID)
	n, err := s.enter.Run(ctx, s.rdb, []string{key}, uid, r.Capacity, life.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("room: enter %s: %w", r.ID, err)
	}
	return n == 1, nil
}

// Fill reads rooms for the cache, in one pipeline; it is their cachesync.Source.
func (s *Store) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	pipe := s.rdb.Pipeline()
	fields := make([]*redis.SliceCmd, len(keys))
	for i, key := range keys {
		fields[i] = ask(ctx, pipe, strings.TrimPrefix(key, record.PrefixRoom))
	}
	pipe.Exec(ctx) // each command has its own error
	out := make([]cachesync.Filled, len(keys))
	for i, key := range keys {
		out[i].Key = key
		r, version, err := stored(strings.TrimPrefix(key, record.PrefixRoom), fields[i])
		if err == nil {
			out[i].Record = cachesync.Record{Type: cachesync.TypeRoom, Version: version, CommitMS: version.UnixMS()}
			out[i].Record.Payload, err = json.Marshal(r)
		} else if errors.Is(err, ErrNotFound) {
			err = cachesync.ErrNotFound
		}
		out[i].Err = err
	}
	return out, nil
}
