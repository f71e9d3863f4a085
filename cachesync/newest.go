package cachesync

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"sluice/cachesync/record"
)

// Newest is the Source of records that several sources may hold: users and rooms may have been
// changed at any home. All are asked at the same time, and the newest of their answers counts. One
// that does not answer may have the newest, so without it there is none: the callers are told
// "later", never an older value.
type Newest []Source

// Fill implements Source.
func (n Newest) Fill(ctx context.Context, keys []string) ([]Filled, error) {
	if len(n) == 1 {
		return n[0].Fill(ctx, keys)
	}
	answers := make([][]Filled, len(n))
	group, ctx := errgroup.WithContext(ctx)
	for i, source := range n {
		group.Go(func() (err error) {
			answers[i], err = source.Fill(ctx, keys)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make([]Filled, len(keys))
	place := make(map[string]int, len(keys))
	for i, key := range keys {
		out[i] = Filled{Key: key, Err: ErrNotFound}
		place[key] = i
	}
	for _, list := range answers {
		for _, f := range list {
			if i, ok := place[f.Key]; ok && f.outdoes(&out[i]) {
				out[i] = f
			}
		}
	}
	return out, nil
}

// outdoes reports whether f tells more of a key than another source's answer. What went wrong at
// one source hides what the others say.
func (f *Filled) outdoes(have *Filled) bool {
	switch {
	case have.Err != nil && !errors.Is(have.Err, ErrNotFound), errors.Is(f.Err, ErrNotFound):
		return false
	case f.Err != nil, have.Err != nil:
		return true
	}
	return record.Wins(have.Record, f.Record)
}
