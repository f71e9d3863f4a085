package apply

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// CachePositions keeps positions in the region's memcached itself: burst regions have no
// other store, and a memcached that lost its data has lost the position with it, so a region
// never believes to have what it has not.
type CachePositions struct {
	Store Store
	Now   func() time.Time // nil means time.Now
}

func positionKey(source string) string { return "pos:" + source }

// Load implements Positions. What is no position is none.
func (c CachePositions) Load(ctx context.Context, source string) (map[int]changelog.ID, error) {
	ops := []memcache.Op{{Kind: memcache.Get, Key: positionKey(source)}}
	if err := c.Store.Do(ctx, ops); err != nil && ops[0].Err == nil {
		return nil, err
	}
	if errors.Is(ops[0].Err, memcache.ErrCacheMiss) {
		return nil, nil
	}
	if ops[0].Err != nil {
		return nil, ops[0].Err
	}
	r, err := record.Parse(ops[0].Value)
	if err != nil {
		return nil, nil
	}
	return ParsePositions(string(r.Payload)), nil
}

// Save implements Positions.
func (c CachePositions) Save(ctx context.Context, source string, at map[int]changelog.ID) error {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	ms := now().UnixMilli()
	r := record.Record{
		Type: record.TypeOther, Version: record.VersionAt(0, now()), CommitMS: ms, Payload: []byte(FormatPositions(at)),
	}
	ops := []memcache.Op{{Kind: memcache.Set, Key: positionKey(source), Value: r.Append(nil)}}
	if err := c.Store.Do(ctx, ops); err != nil {
		return err
	}
	return ops[0].Err
}

// FormatPositions writes positions as text: "7=1-42 8=1-40".
func FormatPositions(at map[int]changelog.ID) string {
	var b strings.Builder
	for bucket := range record.Buckets {
		if id, ok := at[bucket]; ok {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%d=%s", bucket, id)
		}
	}
	return b.String()
}

// ParsePositions reads what FormatPositions wrote; what it does not understand is left out.
func ParsePositions(text string) map[int]changelog.ID {
	out := map[int]changelog.ID{}
	for _, one := range strings.Fields(text) {
		left, right, ok := strings.Cut(one, "=")
		bucket, err := strconv.Atoi(left)
		if !ok || err != nil || bucket < 0 || bucket >= record.Buckets {
			continue
		}
		if id, err := changelog.ParseID(right); err == nil {
			out[bucket] = id
		}
	}
	return out
}
