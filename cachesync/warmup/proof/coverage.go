package proof

import (
	"context"
	"errors"
	"fmt"
	"math"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Coverage is the result of reading a sample back from one region.
type Coverage struct {
	Read    int `json:"read"`    // keys asked for
	Covered int `json:"covered"` // there, in the version written or a newer one
	Missing int `json:"missing"`
	Older   int `json:"older"`   // there in an older version
	Failed  int `json:"failed"`  // node down or no record: not covered
	Deleted int `json:"deleted"` // of Covered: deleted since by a newer change

	Whole bool `json:"whole"` // every key of the set was asked for: no doubt is left
}

const z = 1.96 // 95 %

// Interval is Wilson's for Covered of Read; of a set read whole it is the fraction itself.
func (c Coverage) Interval() (low, high float64) {
	switch {
	case c.Whole:
		return c.Fraction(), c.Fraction()
	case c.Read == 0:
		return 0, 1
	}
	n := float64(c.Read)
	p := float64(c.Covered) / n
	mid := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	d := 1 + z*z/n
	return max(0, (mid-half)/d), min(1, (mid+half)/d)
}

// Fraction is Covered of Read; nothing lacks of no key at all.
func (c Coverage) Fraction() float64 {
	switch {
	case c.Read == 0 && c.Whole:
		return 1
	case c.Read == 0:
		return 0
	}
	return float64(c.Covered) / float64(c.Read)
}

// String is "99.70 % +- 0.11 % (9970 of 10000)", or of a set read whole "99.50 % (199 of all 200)".
func (c Coverage) String() string {
	if c.Whole {
		return fmt.Sprintf("%.2f %% (%d of all %d)", 100*c.Fraction(), c.Covered, c.Read)
	}
	low, high := c.Interval()
	return fmt.Sprintf("%.2f %% +- %.2f %% (%d of %d)", 100*c.Fraction(), 50*(high-low), c.Covered, c.Read)
}

// Store is one region's memcached (*memcache.Client).
type Store interface {
	Do(ctx context.Context, ops []memcache.Op) error
}

// ReadBack reads the sampled keys from store.
func ReadBack(ctx context.Context, store Store, s *Sample) (Coverage, error) {
	c := Coverage{Whole: !s.full}
	sample := s.Entries()
	const batch = 200
	ops := make([]memcache.Op, 0, batch)
	for len(sample) > 0 {
		part := sample[:min(batch, len(sample))]
		sample = sample[len(part):]
		ops = ops[:0]
		for _, e := range part {
			ops = append(ops, memcache.Op{Kind: memcache.Get, Key: e.Key})
		}
		store.Do(ctx, ops)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		for i := range ops {
			c.judge(&ops[i], part[i])
		}
	}
	return c, nil
}

func (c *Coverage) judge(op *memcache.Op, e Entry) {
	c.Read++
	if errors.Is(op.Err, memcache.ErrCacheMiss) {
		c.Missing++
		return
	}
	rec, err := record.Parse(op.Value)
	switch {
	case op.Err != nil || err != nil:
		c.Failed++
	case rec.Version < e.Version:
		c.Older++
	case rec.Refill():
		c.Missing++
	default:
		c.Covered++
		if rec.Tombstone() {
			c.Deleted++
		}
	}
}
