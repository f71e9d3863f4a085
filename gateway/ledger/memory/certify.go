package memory

import (
	"context"
	"slices"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// NextEpoch implements ledger.Certifier.
func (s *Store) NextEpoch(_ context.Context, home int, above uint64) (next uint64, err error) {
	err = s.write("epoch", func() error {
		next = max(s.epochs[home], above) + 1
		s.epochs[home] = next
		return nil
	})
	return next, err
}

// Certify implements ledger.Certifier.
func (s *Store) Certify(_ context.Context, c ledger.Certificate) error {
	c.At = posting.Time(posting.Ms(c.At))
	return s.write("certify", func() error {
		k := posting.Key{Home: c.Home, Bucket: c.Bucket}
		b := s.buckets[k]
		if err := posting.CheckCertificate(c, b); err != nil {
			return err
		}
		todo, err := s.holds(c.Quarantined)
		if err != nil {
			return err
		}
		s.hold(todo)
		s.buckets[k] = ledger.Bucket{Home: c.Home, Bucket: c.Bucket, Position: c.Position, Epoch: c.ToEpoch}
		c.Quarantined = slices.Clone(c.Quarantined)
		s.certs = append(s.certs, c)
		return nil
	})
}

// holds checks a quarantine and leaves out what is held already.
func (s *Store) holds(held []ledger.Held) ([]ledger.Held, error) {
	var todo []ledger.Held
	more := map[string]int64{}
	for _, h := range held {
		if err := posting.CheckHeld(h); err != nil {
			return nil, err
		}
		r, err := s.find("quarantine of", h.RedPacket)
		if err != nil {
			return nil, err
		}
		a, won := r.awards[h.Share]
		had, known := r.held[h.Share]
		switch {
		case known && had.Amount == h.Amount:
			continue
		case known:
			return nil, posting.HeldConflict(h, "it is held with another amount")
		case won:
			return nil, posting.HeldConflict(h, "uid "+a.UID+" won it")
		}
		if more[h.RedPacket] += h.Amount; more[h.RedPacket] > r.run.Left() {
			return nil, posting.HeldConflict(h, "more than is left of the red packet")
		}
		if slices.ContainsFunc(todo, func(o ledger.Held) bool { return o.RedPacket == h.RedPacket && o.Share == h.Share }) {
			more[h.RedPacket] -= h.Amount
			continue
		}
		h.Released = ""
		todo = append(todo, h)
	}
	return todo, nil
}

func (s *Store) hold(held []ledger.Held) {
	for _, h := range held {
		r := s.byID[h.RedPacket]
		h.At = posting.Time(posting.Ms(h.At))
		r.held[h.Share] = &h
		r.run.Held += h.Amount
		s.move(r, ledger.EntryHold(h.Share), ledger.AccountRedPacket, ledger.AccountQuarantine, h.Amount)
	}
}

// Certificates implements ledger.Certifier.
func (s *Store) Certificates(_ context.Context, home, limit int) ([]ledger.Certificate, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	var out []ledger.Certificate
	for i := len(s.certs) - 1; i >= 0 && len(out) < limit; i-- {
		if s.certs[i].Home == home {
			out = append(out, s.certs[i])
		}
	}
	return out, nil
}

// Freeze implements ledger.Certifier.
func (s *Store) Freeze(_ context.Context, f ledger.FreezeError) error {
	return s.write("freeze", func() error {
		k := posting.Key{Home: f.Home, Bucket: f.Bucket}
		b := s.buckets[k]
		if b.Frozen == nil {
			b.Home, b.Bucket, b.Frozen = f.Home, f.Bucket, &f
			s.buckets[k] = b
		}
		return nil
	})
}

// Quarantine implements ledger.Certifier.
func (s *Store) Quarantine(_ context.Context, held []ledger.Held) error {
	return s.write("quarantine", func() error {
		todo, err := s.holds(held)
		if err == nil {
			s.hold(todo)
		}
		return err
	})
}

// Quarantined implements ledger.Certifier.
func (s *Store) Quarantined(_ context.Context, id string) ([]ledger.Held, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	var out []ledger.Held
	for _, r := range s.reds {
		for _, share := range sortedKeys(r.held) {
			if h := r.held[share]; r.ID == id || id == "" && h.Released == "" {
				out = append(out, *h)
			}
		}
	}
	return out, nil
}

// Release implements ledger.Certifier.
func (s *Store) Release(_ context.Context, list []ledger.Release) error {
	return s.write("release", func() error {
		var todo []ledger.Release
		for _, rel := range list {
			r, err := s.find("release of", rel.RedPacket)
			if err != nil {
				return err
			}
			h := r.held[rel.Share]
			if h == nil {
				return &ledger.Error{Op: "release of", RedPacket: rel.RedPacket, Err: ledger.ErrNotFound, Hint: "this share is not held"}
			}
			ok, err := posting.CheckRelease(rel, *h, r.State)
			if err != nil {
				return err
			}
			if ok && rel.Win != nil && r.users[posting.UserKey{UID: rel.Win.UID, N: rel.Win.N}] != nil {
				return posting.HeldConflict(*h, "uid "+rel.Win.UID+" has won another share")
			}
			if ok {
				todo = append(todo, rel)
			}
		}
		for _, rel := range todo {
			s.release(s.byID[rel.RedPacket], rel)
		}
		return nil
	})
}

func (s *Store) release(r *red, rel ledger.Release) {
	h := r.held[rel.Share]
	if h.Released != "" {
		return // twice in one call
	}
	r.run.Held -= h.Amount
	if rel.Win != nil {
		h.Released = posting.ReleasedAward
		s.move(r, ledger.EntryAward(h.Share), ledger.AccountQuarantine, ledger.AccountRedPacket, h.Amount)
		s.award(r, *rel.Win, h.Bucket)
		r.settled()
		return
	}
	h.Released = posting.ReleasedRefund
	r.run.Returned += h.Amount
	if h.Amount == 0 {
		r.settled()
		return
	}
	r.refunding += h.Amount
	r.State = ledger.Closed
	e := ledger.EntryRelease(h.Share)
	// The money goes through the red packet's account, as every refund does
	// in the running totals; in the postings it goes straight.
	s.move(r, e, ledger.AccountQuarantine, ledger.AccountRefunding, h.Amount)
	s.queue = append(s.queue, ref{r.run.K, e})
}
