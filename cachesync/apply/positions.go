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
// other store. Every node keeps a position of its own, so that a node that lost its data has
// lost the position with it, and what a node that has one holds is as new as it says.
type CachePositions struct {
	Store Store
	Now   func() time.Time // nil means time.Now
}

func positionKey(source string) string { return "pos:" + source }

// nodes is a Store of several nodes (*memcache.Client).
type nodes interface {
	Nodes() []string
	DoNode(ctx context.Context, addr string, ops []memcache.Op) error
}

// each runs one operation on every node and calls f with what came of it.
func (c CachePositions) each(ctx context.Context, op memcache.Op, f func(*memcache.Op)) {
	n, ok := c.Store.(nodes)
	if !ok {
		ops := []memcache.Op{op}
		c.Store.Do(ctx, ops)
		f(&ops[0])
		return
	}
	for _, addr := range n.Nodes() {
		ops := []memcache.Op{op}
		if err := n.DoNode(ctx, addr, ops); err != nil && ops[0].Err == nil {
			ops[0].Err = err
		}
		f(&ops[0])
	}
}

// Load implements Positions: the lowest of all nodes that know one. What is no position is
// none; an error only when no node answers.
func (c CachePositions) Load(ctx context.Context, source string) (map[int]changelog.ID, error) {
	var out map[int]changelog.ID
	var failed error
	answered := false
	c.each(ctx, memcache.Op{Kind: memcache.Get, Key: positionKey(source)}, func(op *memcache.Op) {
		if op.Err != nil && !errors.Is(op.Err, memcache.ErrCacheMiss) {
			failed = op.Err
			return
		}
		answered = true
		r, err := record.Parse(op.Value)
		if op.Err != nil || err != nil {
			return
		}
		at := ParsePositions(string(r.Payload))
		if out == nil {
			out = at
		}
		for b, id := range at {
			if have, ok := out[b]; !ok || have.After(id) {
				out[b] = id
			}
		}
	})
	if !answered {
		return nil, failed
	}
	return out, nil
}

// Save implements Positions. A node that is down keeps an older position: it repeats changes.
func (c CachePositions) Save(ctx context.Context, source string, at map[int]changelog.ID) error {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	ms := now().UnixMilli()
	r := record.Record{
		Type: record.TypeOther, Version: record.VersionAt(0, now()), CommitMS: ms, Payload: []byte(FormatPositions(at)),
	}
	var failed error
	c.each(ctx, memcache.Op{Kind: memcache.Set, Key: positionKey(source), Value: r.Append(nil)}, func(op *memcache.Op) {
		if op.Err != nil {
			failed = op.Err
		}
	})
	return failed
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
