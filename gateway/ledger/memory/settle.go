package memory

import (
	"context"
	"errors"
	"slices"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// backend lets posting read the maps. The store's lock is held.
type backend struct{ *Store }

func (b backend) Buckets(_ context.Context, keys []posting.Key) (map[posting.Key]ledger.Bucket, error) {
	out := make(map[posting.Key]ledger.Bucket, len(keys))
	for _, k := range keys {
		out[k] = b.buckets[k]
	}
	return out, nil
}

func (b backend) RedPackets(_ context.Context, ids []string) (map[string]*posting.RedPacket, error) {
	out := make(map[string]*posting.RedPacket, len(ids))
	for _, id := range ids {
		if r := b.byID[id]; r != nil {
			run := r.run
			run.State = r.State
			out[id] = &run
		}
	}
	return out, nil
}

func (b backend) Held(_ context.Context, r *posting.RedPacket) (map[int]int64, error) {
	out := map[int]int64{}
	for share, h := range b.byID[r.ID].held {
		if h.Released == "" {
			out[share] = h.Amount
		}
	}
	return out, nil
}

func (b backend) AwardsByShare(_ context.Context, r *posting.RedPacket, shares []int) (map[int]posting.Placed, error) {
	out := map[int]posting.Placed{}
	for _, share := range shares {
		if a := b.byID[r.ID].awards[share]; a != nil && !b.bugs.PositionApart {
			out[share] = posting.Placed{Win: a.Win, Bucket: a.bucket}
		}
	}
	return out, nil
}

func (b backend) AwardsByUser(_ context.Context, r *posting.RedPacket, users []posting.UserKey) (map[posting.UserKey]posting.Placed, error) {
	out := map[posting.UserKey]posting.Placed{}
	for _, u := range users {
		if a := b.byID[r.ID].users[u]; a != nil && !b.bugs.PositionApart {
			out[u] = posting.Placed{Win: a.Win, Bucket: a.bucket}
		}
	}
	return out, nil
}

func (b backend) Moves(_ context.Context, r *posting.RedPacket, bucket int) (out []ledger.Move, err error) {
	for _, m := range b.byID[r.ID].moves {
		if m.From == bucket {
			out = append(out, m)
		}
	}
	return out, nil
}

func (b backend) Close(_ context.Context, r *posting.RedPacket, bucket int) (ledger.Close, bool, error) {
	c, ok := b.byID[r.ID].closes[bucket]
	return c, ok, nil
}

// Settle implements ledger.Settler.
func (s *Store) Settle(ctx context.Context, batches []ledger.Batch) error {
	var left error
	var plan *posting.Plan
	err := s.write("settle", func() (err error) {
		if plan, err = posting.Make(ctx, backend{s}, batches, true); err != nil {
			return err
		}
		for i := range plan.Parts {
			s.post(&plan.Parts[i])
		}
		for _, f := range plan.Freezes {
			k := posting.Key{Home: f.Home, Bucket: f.Bucket}
			b := s.buckets[k]
			b.Home, b.Bucket, b.Frozen = f.Home, f.Bucket, f
			s.buckets[k] = b
		}
		if !s.bugs.PositionApart {
			s.advance(plan)
		}
		left = errors.Join(plan.Errs...)
		return nil
	})
	if err == nil && s.bugs.PositionApart {
		err = s.write("settle-position", func() error { s.advance(plan); return nil })
	}
	if err != nil {
		return err
	}
	return left
}

func (s *Store) advance(plan *posting.Plan) {
	for k, b := range plan.Buckets {
		b.Frozen = s.buckets[k].Frozen
		s.buckets[k] = b
	}
}

// post writes what is new of one batch.
func (s *Store) post(p *posting.Part) {
	for i := range p.Wins {
		r := s.byID[p.Wins[i].RedPacket]
		s.award(r, p.Wins[i], p.Bucket)
	}
	for i := range p.Closes {
		s.close(s.byID[p.Closes[i].RedPacket], p.Closes[i], p.Bucket)
	}
	for _, m := range p.Moves {
		m.At = posting.Time(posting.Ms(m.At))
		r := s.byID[m.RedPacket]
		r.moves = append(r.moves, m)
	}
}

func (s *Store) award(r *red, w ledger.Win, bucket int) {
	w.At = posting.Time(posting.Ms(w.At))
	a := &award{Win: w, bucket: bucket, txn: s.txn, red: r}
	r.awards[w.Share] = a
	r.users[posting.UserKey{UID: w.UID, N: w.N}] = a
	s.byUser[w.UID] = append(s.byUser[w.UID], a)
	r.run.Awarded += w.Amount
	s.move(r, ledger.EntryWin(w.Share), ledger.AccountRedPacket, ledger.AccountPayable, w.Amount)
	s.queue = append(s.queue, ref{r.run.K, ledger.EntryWin(w.Share)})
}

func (s *Store) close(r *red, c ledger.Close, bucket int) {
	c.At = posting.Time(posting.Ms(c.At))
	r.closes[bucket] = c
	if bucket == r.Bucket || r.State == ledger.Refunded {
		r.State = ledger.Closed
	}
	if c.Left == 0 {
		r.settled()
		return
	}
	r.run.Returned += c.Left
	r.refunding += c.Left
	s.move(r, ledger.EntryClose(bucket), ledger.AccountRedPacket, ledger.AccountRefunding, c.Left)
	s.queue = append(s.queue, ref{r.run.K, ledger.EntryClose(bucket)})
	if s.bugs.RefundTwice {
		s.move(r, ledger.EntryClose(bucket+1<<10), ledger.AccountRedPacket, ledger.AccountRefunding, c.Left)
		r.closes[bucket+1<<10] = c
		s.queue = append(s.queue, ref{r.run.K, ledger.EntryClose(bucket + 1<<10)})
	}
}

// Moves implements ledger.Settler.
func (s *Store) Moves(_ context.Context, id string) ([]ledger.Move, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := s.find("moves of", id)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.moves), nil
}

// Positions implements ledger.Settler.
func (s *Store) Positions(_ context.Context, home int) (map[int]ledger.Bucket, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	return s.positions(home), nil
}

func (s *Store) positions(home int) map[int]ledger.Bucket {
	out := map[int]ledger.Bucket{}
	for k, b := range s.buckets {
		if k.Home == home {
			out[k.Bucket] = b
		}
	}
	return out
}
