package memory

import (
	"context"
	"slices"
	"sort"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// describe makes the pay-out of an entry out of the journal.
func (s *Store) describe(p *payout) ledger.Payout {
	r := s.reds[p.k-1]
	out := ledger.Payout{Key: ledger.PayoutKey(r.ID, p.entry), Kind: ledger.Refund, RedPacket: r.ID, UID: r.Sender, Share: p.entry.Index(),
		State: p.state, Tries: p.tries, Claims: p.claims, Due: p.due, LastError: p.err, Reference: p.note, DoneAt: p.doneAt}
	switch what := p.entry.What(); what {
	case ledger.EntryWin(0):
		w := r.awards[p.entry.Index()]
		out.Kind, out.UID, out.N, out.Amount, out.Prize, out.At = w.Kind(), w.UID, w.N, w.Amount, w.Prize, w.At
		out.Played = ledger.Played(r.Sender, w.UID)
	case ledger.EntryClose(0):
		c := r.closes[p.entry.Index()]
		out.Amount, out.At = c.Left, c.At
	case ledger.EntryRelease(0):
		h := r.held[p.entry.Index()]
		out.Amount, out.At = h.Amount, h.At
	default:
		l := r.payments[p.entry.Index()]
		out.Amount, out.At = l.Amount, l.ConfirmedAt
	}
	return out
}

func (s *Store) byKey(key string) *payout {
	id, e, err := ledger.ParsePayoutKey(key)
	if err != nil || s.byID[id] == nil {
		return nil
	}
	return s.payouts[ref{s.byID[id].run.K, e}]
}

// Claim implements ledger.Outbox.
func (s *Store) Claim(_ context.Context, n int, lease time.Duration) (out []ledger.Payout, err error) {
	err = s.write("claim", func() error {
		now := s.ms()
		take := func(p *payout) {
			p.state, p.due = ledger.Claimed, posting.Time(posting.Ms(now.Add(lease)))
			p.tries++
			p.claims++
			out = append(out, s.describe(p))
		}
		for _, p := range s.dueNow(now) {
			if len(out) < n {
				take(p)
			}
		}
		for len(s.queue) > 0 && len(out) < n {
			p := &payout{ref: s.queue[0]}
			s.queue = s.queue[1:]
			s.payouts[p.ref] = p
			s.moved = append(s.moved, p)
			take(p)
		}
		return nil
	})
	return out, err
}

// dueNow lists picked-up pay-outs whose retry or lease has come, oldest first.
func (s *Store) dueNow(now time.Time) []*payout {
	var list []*payout
	for _, p := range s.moved {
		if (p.state == ledger.Claimed || p.state == ledger.Waiting) && !p.due.After(now) {
			list = append(list, p)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].due.Before(list[j].due) })
	return list
}

// Done implements ledger.Outbox.
func (s *Store) Done(_ context.Context, done []ledger.Outcome) error {
	return s.write("done", func() error {
		for _, o := range done {
			p := s.byKey(o.Key)
			if p == nil {
				return &ledger.Error{Op: "pay out " + o.Key, Err: ledger.ErrNotFound, Hint: "it was never claimed"}
			}
		}
		for _, o := range done {
			p := s.byKey(o.Key)
			if p.state == ledger.Paid {
				continue
			}
			amount := s.describe(p).Amount
			p.state, p.note, p.doneAt, p.err = ledger.Paid, o.Reference, posting.Time(posting.Ms(o.At)), ""
			s.done = append(s.done, p)
			s.moved = slices.DeleteFunc(s.moved, func(m *payout) bool { return m == p })
			r := s.reds[p.k-1]
			e, from, to := p.entry.Paid()
			s.move(r, e, from, to, amount)
			if !p.entry.IsWin() {
				r.refunding -= amount
				r.settled()
			}
		}
		return nil
	})
}

// end gives a claimed pay-out back, unless another has it by now.
func (s *Store) end(op string, p ledger.Payout, state ledger.PayState, cause string, due time.Time) error {
	return s.write(op, func() error {
		m := s.byKey(p.Key)
		if m == nil {
			return &ledger.Error{Op: op + " " + p.Key, Err: ledger.ErrNotFound}
		}
		if m.state == ledger.Claimed && m.claims == p.Claims {
			m.state, m.err, m.due, m.tries = state, cause, posting.Time(posting.Ms(due)), p.Tries
		}
		return nil
	})
}

// Fail implements ledger.Outbox.
func (s *Store) Fail(_ context.Context, p ledger.Payout, cause string, due time.Time) error {
	return s.end("fail", p, ledger.Waiting, cause, due)
}

// Dead implements ledger.Outbox.
func (s *Store) Dead(_ context.Context, p ledger.Payout, cause string, sweepAt time.Time) error {
	return s.end("dead", p, ledger.Dead, cause, sweepAt)
}

// Stuck implements ledger.Outbox.
func (s *Store) Stuck(_ context.Context, limit int) ([]ledger.Payout, error) {
	done, err := s.read()
	if err != nil {
		return nil, err
	}
	defer done()
	var out []ledger.Payout
	for _, dead := range []bool{true, false} {
		for _, p := range s.moved {
			if (p.state == ledger.Dead) == dead && p.err != "" && len(out) < limit {
				out = append(out, s.describe(p))
			}
		}
	}
	return out, nil
}

func (s *Store) revive(op string, which func(*payout) bool) (n int, err error) {
	err = s.write(op, func() error {
		for _, p := range s.moved {
			if p.state == ledger.Dead && which(p) {
				p.state, p.tries, p.due = ledger.Waiting, 0, s.ms()
				n++
			}
		}
		return nil
	})
	return n, err
}

// Retry implements ledger.Outbox.
func (s *Store) Retry(_ context.Context, keys ...string) (int, error) {
	return s.revive("retry", func(p *payout) bool {
		return len(keys) == 0 || slices.Contains(keys, ledger.PayoutKey(s.reds[p.k-1].ID, p.entry))
	})
}

// Sweep implements ledger.Outbox.
func (s *Store) Sweep(context.Context) (int, error) {
	now := s.ms()
	return s.revive("sweep", func(p *payout) bool { return !p.due.After(now) })
}

// Payout implements ledger.Outbox.
func (s *Store) Payout(_ context.Context, key string) (ledger.Payout, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Payout{}, err
	}
	defer done()
	id, e, err := ledger.ParsePayoutKey(key)
	if err == nil && s.byID[id] != nil {
		r := ref{s.byID[id].run.K, e}
		if p := s.payouts[r]; p != nil {
			return s.describe(p), nil
		}
		if slices.Contains(s.queue, r) {
			return s.describe(&payout{ref: r}), nil
		}
	}
	return ledger.Payout{}, &ledger.Error{Op: "pay-out " + key, Err: ledger.ErrNotFound}
}

// EachPayout implements ledger.Outbox.
func (s *Store) EachPayout(_ context.Context, from, to time.Time, fn func(ledger.Payout) error) error {
	done, err := s.read()
	if err != nil {
		return err
	}
	var list []ledger.Payout
	for _, p := range s.done {
		if !p.doneAt.Before(from) && p.doneAt.Before(to) {
			list = append(list, s.describe(p))
		}
	}
	done()
	sort.SliceStable(list, func(i, j int) bool { return list[i].DoneAt.Before(list[j].DoneAt) })
	return each(list, fn)
}

// Backlog implements ledger.Outbox.
func (s *Store) Backlog(context.Context) (ledger.Backlog, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Backlog{}, err
	}
	defer done()
	b := ledger.Backlog{Queued: len(s.queue)}
	if b.Queued > 0 {
		b.OldestQueued = s.describe(&payout{ref: s.queue[0]}).At
	}
	for _, p := range s.moved {
		switch p.state {
		case ledger.Claimed:
			b.Claimed++
		case ledger.Waiting:
			b.Waiting++
		case ledger.Dead:
			b.Dead++
		}
	}
	return b, nil
}
