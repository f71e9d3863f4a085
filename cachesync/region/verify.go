package region

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Side is one region to be compared.
type Side struct {
	Name  string
	Nodes []string
	Store apply.Store
}

// Verdict is what Verify found.
type Verdict struct {
	Keys      int // in either region
	Equal     int
	Missing   int // in one region only: a cache may lose anything, it is filled on demand
	Different int // another version, or another content of the same version: never right
}

// String is the verdict in one line.
func (v Verdict) String() string {
	return fmt.Sprintf("%d keys: %d equal, %d in one region only, %d different", v.Keys, v.Equal, v.Missing, v.Different)
}

// settleTime is how long a difference must last to be one: changes may be on their way.
const settleTime = 2 * time.Second

// Verify compares two regions wholly and prints what differs, at most limit lines. It reads
// each key from both; what differs is read again after settleTime.
func Verify(ctx context.Context, a, b Side, dial func(ctx context.Context, network, addr string) (net.Conn, error), w io.Writer, limit int) (Verdict, error) {
	var v Verdict
	var doubts []Key
	seen := map[string]struct{}{} // keys of a: those of b alone are looked at in the second round
	compare := func(list []Key, count bool) ([]Key, error) {
		ra, err := get(ctx, a, list)
		if err != nil {
			return nil, err
		}
		rb, err := get(ctx, b, list)
		if err != nil {
			return nil, err
		}
		var differ []Key
		for i := range list {
			if count {
				v.Keys++
			}
			switch {
			case ra[i] == nil && rb[i] == nil:
			case ra[i] == nil || rb[i] == nil:
				v.Missing++
			case same(ra[i], rb[i]):
				v.Equal++
			default:
				differ = append(differ, list[i])
			}
		}
		return differ, nil
	}
	for i, side := range []Side{a, b} {
		for _, node := range side.Nodes {
			err := Keys(ctx, dial, node, func(list []Key) error {
				var fresh []Key
				for _, k := range list {
					if _, ok := seen[k.Name]; !ok {
						fresh = append(fresh, k)
						if i == 0 {
							seen[k.Name] = struct{}{}
						}
					}
				}
				d, err := compare(fresh, true)
				doubts = append(doubts, d...)
				return err
			})
			if err != nil {
				return v, err
			}
		}
	}
	if len(doubts) == 0 {
		return v, nil
	}
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return v, ctx.Err()
	}
	left, err := compare(doubts, false)
	if err != nil {
		return v, err
	}
	v.Different = len(left)
	ra, _ := get(ctx, a, left[:min(len(left), limit)])
	rb, _ := get(ctx, b, left[:min(len(left), limit)])
	for i := range ra {
		fmt.Fprintf(w, "%s: %s has %s, %s has %s\n", left[i].Name, a.Name, show(ra[i]), b.Name, show(rb[i]))
	}
	return v, nil
}

// get reads records; nil is none: missing, no record, or to be filled again.
func get(ctx context.Context, s Side, list []Key) ([]*record.Record, error) {
	out := make([]*record.Record, len(list))
	ops := make([]memcache.Op, len(list))
	for i, k := range list {
		ops[i] = memcache.Op{Kind: memcache.Get, Key: k.Name}
	}
	s.Store.Do(ctx, ops)
	for i := range ops {
		if err := ops[i].Err; err != nil {
			if !errors.Is(err, memcache.ErrCacheMiss) {
				return nil, fmt.Errorf("region: verify: read %s in %s: %w", list[i].Name, s.Name, err)
			}
			continue
		}
		if r, err := record.Parse(ops[i].Value); err == nil && !r.Refill() {
			out[i] = &r
		}
	}
	return out, nil
}

func same(a, b *record.Record) bool {
	return a.Version == b.Version && a.Tombstone() == b.Tombstone() && bytes.Equal(a.Payload, b.Payload)
}

func show(r *record.Record) string {
	switch {
	case r == nil:
		return "nothing"
	case r.Tombstone():
		return "deleted at " + r.Version.String()
	}
	return fmt.Sprintf("version %s, %d bytes", r.Version, len(r.Payload))
}
