package memory

import (
	"context"
	"slices"
	"sort"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// PutRedPacket implements ledger.RedPackets.
func (s *Store) PutRedPacket(_ context.Context, r ledger.RedPacket) (stored ledger.RedPacket, created bool, err error) {
	if r, err = posting.CheckRedPacket(r); err != nil {
		return r, false, err
	}
	err = s.write("fund", func() error {
		if had := s.byID[r.ID]; had != nil {
			stored = had.RedPacket
			return posting.SameRedPacket(stored, r)
		}
		pays := r.State == ledger.Funded && r.Amount > 0
		if pays {
			if p := s.payments[r.Payment]; p != nil {
				return &ledger.Error{Op: "fund", RedPacket: r.ID, Err: ledger.ErrConflict, Hint: "payment " + r.Payment + " is of " + p.RedPacket}
			}
		}
		n := &red{RedPacket: r, awards: map[int]*award{}, users: map[posting.UserKey]*award{}, closes: map[int]ledger.Close{},
			held: map[int]*ledger.Held{}, corrections: map[int]ledger.Correction{}}
		s.reds = append(s.reds, n)
		s.byID[r.ID] = n
		n.run = posting.RedPacket{K: int64(len(s.reds)), ID: r.ID, Home: r.Home, Bucket: r.Bucket, Count: r.Count}
		if pays {
			s.addPayment(n, ledger.Payment{ID: r.Payment, RedPacket: r.ID, Amount: r.Amount, State: ledger.PaymentConfirmed,
				AskedAt: r.CreatedAt, ConfirmedAt: s.ms()})
			s.fund(n)
		}
		stored, created = n.RedPacket, true
		return nil
	})
	return stored, created, err
}

// fund posts the money that came in.
func (s *Store) fund(r *red) {
	r.State = ledger.Funded
	r.run.Funded = r.Amount
	s.move(r, ledger.EntryFund(), ledger.AccountPayment, ledger.AccountRedPacket, r.Amount)
}

func (s *Store) ms() time.Time { return posting.Time(posting.Ms(s.now())) }

// RedPacket implements ledger.RedPackets.
func (s *Store) RedPacket(_ context.Context, id string) (ledger.RedPacket, error) {
	done, err := s.read()
	if err != nil {
		return ledger.RedPacket{}, err
	}
	defer done()
	r, err := s.find("read", id)
	if err != nil {
		return ledger.RedPacket{}, err
	}
	return r.RedPacket, nil
}

// EachRedPacket implements ledger.RedPackets.
func (s *Store) EachRedPacket(_ context.Context, f ledger.Filter, fn func(ledger.RedPacket) error) error {
	done, err := s.read()
	if err != nil {
		return err
	}
	var list []ledger.RedPacket
	for _, r := range s.reds {
		if (len(f.Homes) == 0 || slices.Contains(f.Homes, r.Home)) &&
			(len(f.Buckets) == 0 || slices.Contains(f.Buckets, r.Bucket)) &&
			(len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
			(f.OpensBefore.IsZero() || r.OpensAt.Before(f.OpensBefore)) &&
			(f.ClosesBefore.IsZero() || r.ClosesAt.Before(f.ClosesBefore)) &&
			(f.ClosesAfter.IsZero() || r.ClosesAt.After(f.ClosesAfter)) &&
			(f.CreatedAfter.IsZero() || r.CreatedAt.After(f.CreatedAfter)) {
			list = append(list, r.RedPacket)
		}
	}
	done()
	return each(list, fn)
}

func each[T any](list []T, fn func(T) error) error {
	for _, x := range list {
		if err := fn(x); err != nil {
			if err == ledger.Stop {
				return nil
			}
			return err
		}
	}
	return nil
}

func (s *Store) addPayment(r *red, p ledger.Payment) *payment {
	n := &payment{Payment: p, num: len(r.payments)}
	r.payments = append(r.payments, n)
	s.payments[p.ID] = n
	s.asked = append(s.asked, n)
	return n
}

// PutPayment implements ledger.Payments.
func (s *Store) PutPayment(_ context.Context, p ledger.Payment) (stored ledger.Payment, created bool, err error) {
	err = s.write("payment", func() error {
		if had := s.payments[p.ID]; had != nil {
			stored = had.Payment
			return posting.SamePayment(stored, p)
		}
		r, err := s.find("payment of", p.RedPacket)
		if err != nil {
			return err
		}
		if err := posting.CheckPayment(p, r.RedPacket); err != nil {
			return err
		}
		p.State, p.Reference, p.ConfirmedAt = ledger.PaymentAsked, "", time.Time{}
		p.AskedAt = posting.Time(posting.Ms(p.AskedAt))
		if r.State == ledger.Unpaid {
			r.Payment = p.ID
		}
		stored, created = s.addPayment(r, p).Payment, true
		return nil
	})
	return stored, created, err
}

// Payment implements ledger.Payments.
func (s *Store) Payment(_ context.Context, id string) (ledger.Payment, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Payment{}, err
	}
	defer done()
	if p := s.payments[id]; p != nil {
		return p.Payment, nil
	}
	return ledger.Payment{}, &ledger.Error{Op: "payment " + id, Err: ledger.ErrNotFound}
}

// ConfirmPayment implements ledger.Payments.
func (s *Store) ConfirmPayment(_ context.Context, id string, amount int64, reference string, at time.Time) (out ledger.Payment, err error) {
	err = s.write("confirm", func() error {
		p := s.payments[id]
		if p == nil {
			return &ledger.Error{Op: "confirm payment " + id, Err: ledger.ErrNotFound}
		}
		r := s.byID[p.RedPacket]
		state, err := posting.Confirm(p.Payment, r.State, amount)
		if err != nil || state == "" {
			out = p.Payment
			return err
		}
		p.State, p.Reference, p.ConfirmedAt = state, reference, posting.Time(posting.Ms(at))
		if state == ledger.PaymentConfirmed {
			r.Payment = id
			s.fund(r)
		} else {
			s.move(r, ledger.EntryLate(p.num), ledger.AccountPayment, ledger.AccountRefunding, amount)
			r.refunding += amount
			s.queue = append(s.queue, ref{r.run.K, ledger.EntryLate(p.num)})
		}
		out = p.Payment
		return nil
	})
	return out, err
}

// ExpirePayment implements ledger.Payments.
func (s *Store) ExpirePayment(_ context.Context, id string, _ time.Time) error {
	return s.write("expire", func() error {
		p := s.payments[id]
		switch {
		case p == nil:
			return &ledger.Error{Op: "expire payment " + id, Err: ledger.ErrNotFound}
		case p.State == ledger.PaymentExpired:
			return nil
		case p.State != ledger.PaymentAsked:
			return &ledger.Error{Op: "expire payment " + id, RedPacket: p.RedPacket, Err: ledger.ErrState, Hint: "it is " + p.State}
		}
		p.State = ledger.PaymentExpired
		r := s.byID[p.RedPacket]
		if r.State == ledger.Unpaid && !slices.ContainsFunc(r.payments, func(p *payment) bool { return p.State == ledger.PaymentAsked }) {
			r.State = ledger.Expired
		}
		return nil
	})
}

// EachPayment implements ledger.Payments.
func (s *Store) EachPayment(_ context.Context, from, to time.Time, fn func(ledger.Payment) error) error {
	done, err := s.read()
	if err != nil {
		return err
	}
	var list []ledger.Payment
	for _, p := range s.asked {
		if !p.ConfirmedAt.IsZero() && !p.ConfirmedAt.Before(from) && p.ConfirmedAt.Before(to) {
			list = append(list, p.Payment)
		}
	}
	done()
	sort.SliceStable(list, func(i, j int) bool { return list[i].ConfirmedAt.Before(list[j].ConfirmedAt) })
	return each(list, fn)
}

// UnpaidPayments implements ledger.Payments.
func (s *Store) UnpaidPayments(_ context.Context, before time.Time, limit int) ([]ledger.Payment, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	var list []ledger.Payment
	for _, p := range s.asked {
		if p.State == ledger.PaymentAsked && p.AskedAt.Before(before) {
			list = append(list, p.Payment)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].AskedAt.Before(list[j].AskedAt) })
	return list[:min(limit, len(list))], nil
}
