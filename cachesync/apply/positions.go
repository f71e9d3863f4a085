package apply

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// CachePositions keeps positions in the region's memcached itself: burst regions have no
// other store. Every node keeps a position of its own, so that a node that lost its data has
// lost the position with it, and what a node that has one holds is as new as it says.
//
// A position carries the token of the process that saved it: who loads takes a higher one.
type CachePositions struct {
	Store Store
	Now   func() time.Time // nil means time.Now
	// OnCold is called when a node on which a position was saved has none any more: it
	// lost its data. nil means that nobody wants to know.
	OnCold func(node string)
	// OnStale is called when a node that did not answer Load holds an older position than was
	// loaded: the process before has given it up, and nobody writes what it has missed. It must
	// be emptied. nil means that nobody wants to know.
	OnStale func(node string)

	mu     sync.Mutex
	saved  map[string]bool // by node and source
	tokens map[string]record.Version
	loaded map[string]map[int]changelog.ID
}

func (c *CachePositions) nowMS() int64 {
	if c.Now != nil {
		return c.Now().UnixMilli()
	}
	return time.Now().UnixMilli()
}

func (c *CachePositions) token(source string) record.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[source]
}

func positionKey(source string) string { return record.PrefixPosition + source }

// nodes is a Store of several nodes (*memcache.Client).
type nodes interface {
	Nodes() []string
	DoNode(ctx context.Context, addr string, ops []memcache.Op) error
}

// each runs f for every node, with what runs one operation there.
func (c *CachePositions) each(f func(node string, do func(op *memcache.Op))) {
	run := func(node string, do func(ops []memcache.Op) error) {
		f(node, func(op *memcache.Op) {
			ops := []memcache.Op{*op}
			if err := do(ops); err != nil && ops[0].Err == nil {
				ops[0].Err = err
			}
			*op = ops[0]
		})
	}
	n, ok := c.Store.(nodes)
	if !ok {
		run("", func(ops []memcache.Op) error { return c.Store.Do(context.Background(), ops) })
		return
	}
	for _, addr := range n.Nodes() {
		run(addr, func(ops []memcache.Op) error { return n.DoNode(context.Background(), addr, ops) })
	}
}

// Load implements Positions: the lowest of all nodes that know one. What is no position is
// none; an error only when no node answers.
func (c *CachePositions) Load(ctx context.Context, source string) (map[int]changelog.ID, error) {
	out, token, err := c.Look(ctx, source)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.tokens == nil {
		c.tokens, c.loaded = map[string]record.Version{}, map[string]map[int]changelog.ID{}
	}
	c.loaded[source] = out
	c.tokens[source] = max(token+1, record.Version(c.nowMS()))
	c.mu.Unlock()
	if len(out) == 0 {
		return nil, nil
	}
	if some, err := c.save(ctx, source, out); err != nil && (!some || errors.Is(err, ErrFenced)) {
		return out, err
	}
	return out, nil // a node that is down hears of it when it is back
}

// Look is Load without taking over.
func (c *CachePositions) Look(_ context.Context, source string) (out map[int]changelog.ID, token record.Version, err error) {
	var failed error
	answered := false
	c.each(func(_ string, do func(op *memcache.Op)) {
		op := memcache.Op{Kind: memcache.Get, Key: positionKey(source)}
		do(&op)
		if op.Err != nil && !errors.Is(op.Err, memcache.ErrCacheMiss) {
			failed = op.Err
			return
		}
		answered = true
		r, err := record.Parse(op.Value)
		if op.Err != nil || err != nil {
			return
		}
		token = max(token, r.Version)
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
		return nil, 0, failed
	}
	return out, token, nil
}

// Save implements Positions. A node that is down keeps an older position: it repeats changes.
func (c *CachePositions) Save(ctx context.Context, source string, at map[int]changelog.ID) error {
	_, err := c.save(ctx, source, at)
	return err
}

// save is Save; some says that a node has it.
func (c *CachePositions) save(_ context.Context, source string, at map[int]changelog.ID) (some bool, failed error) {
	r := record.Record{Type: record.TypeOther, Version: c.token(source), CommitMS: c.nowMS(), Payload: []byte(FormatPositions(at))}
	value := r.Append(nil)
	c.each(func(node string, do func(op *memcache.Op)) {
		lost, stale, err := c.saveTo(do, source, r.Version, value)
		some = some || err == nil
		if err != nil && !errors.Is(failed, ErrFenced) {
			failed = err
		}
		c.mu.Lock()
		before := c.saved[node+" "+source]
		if c.saved == nil {
			c.saved = map[string]bool{}
		}
		c.saved[node+" "+source] = before || err == nil
		c.mu.Unlock()
		if lost && before && c.OnCold != nil {
			c.OnCold(node)
		}
		if stale && err == nil && c.OnStale != nil {
			c.OnStale(node)
		}
	})
	return some, failed
}

// older reports whether an earlier process's positions are behind those that were loaded.
func (c *CachePositions) older(source, text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b, id := range ParsePositions(text) {
		if began, ok := c.loaded[source][b]; ok && began.After(id) {
			return true
		}
	}
	return false
}

func (c *CachePositions) saveTo(do func(op *memcache.Op), source string, token record.Version, value []byte) (lost, stale bool, err error) {
	key := positionKey(source)
	for range 3 {
		op := memcache.Op{Kind: memcache.Gets, Key: key}
		do(&op)
		write := memcache.Op{Kind: memcache.Add, Key: key, Value: value}
		if op.Err == nil {
			if old, err := record.Parse(op.Value); err == nil && old.Version > token {
				return lost, false, ErrFenced
			} else if err == nil && old.Version < token {
				stale = c.older(source, string(old.Payload))
			}
			write.Kind, write.CAS = memcache.CAS, op.CAS
		} else if !errors.Is(op.Err, memcache.ErrCacheMiss) {
			return lost, false, op.Err
		} else {
			lost = true
		}
		do(&write)
		if err := write.Err; !errors.Is(err, memcache.ErrCASConflict) && !errors.Is(err, memcache.ErrNotStored) && !errors.Is(err, memcache.ErrCacheMiss) {
			return lost, stale, err
		}
	}
	return lost, false, ErrContended
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
