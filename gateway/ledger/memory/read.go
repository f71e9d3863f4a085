package memory

import (
	"context"
	"fmt"
	"slices"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

func (s *Store) full(a *award) ledger.Award {
	out := ledger.Award{Win: a.Win, Home: a.red.Home, Bucket: a.bucket, Txn: a.txn}
	if p := s.payouts[ref{a.red.run.K, ledger.EntryWin(a.Share)}]; p != nil {
		out.PayState, out.PaidAt = p.state, p.doneAt
	}
	return out
}

// Wins implements ledger.Reader.
func (s *Store) Wins(_ context.Context, id, cursor string, limit int) ([]ledger.Award, string, error) {
	after, err := posting.ShareCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	done, err := s.read()
	if err != nil {
		return nil, "", err
	}
	defer done()
	r, err := s.find("wins of", id)
	if err != nil {
		return nil, "", err
	}
	shares := sortedKeys(r.awards)
	from, _ := slices.BinarySearch(shares, after+1)
	shares = shares[from:]
	var out []ledger.Award
	for _, share := range shares[:min(limit, len(shares))] {
		out = append(out, s.full(r.awards[share]))
	}
	if len(shares) <= limit {
		return out, "", nil
	}
	return out, posting.CursorOfShare(shares[limit-1]), nil
}

// WinsOf implements ledger.Reader.
func (s *Store) WinsOf(_ context.Context, uid, cursor string, limit int) ([]ledger.Award, string, error) {
	k, n, err := posting.UserCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	done, err := s.read()
	if err != nil {
		return nil, "", err
	}
	defer done()
	list := slices.Clone(s.byUser[uid])
	slices.SortFunc(list, func(a, b *award) int {
		if a.red.run.K != b.red.run.K {
			return int(b.red.run.K - a.red.run.K)
		}
		return compare(b.N, a.N)
	})
	var out []ledger.Award
	for _, a := range list {
		if cursor != "" && (a.red.run.K > k || a.red.run.K == k && a.N >= n) {
			continue
		}
		if len(out) == limit {
			last := out[limit-1]
			return out, posting.CursorOfUser(s.byID[last.RedPacket].run.K, last.N), nil
		}
		out = append(out, s.full(a))
	}
	return out, "", nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Award implements ledger.Reader.
func (s *Store) Award(_ context.Context, id, uid, n string) (ledger.Award, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Award{}, err
	}
	defer done()
	r, err := s.find("award of", id)
	if err != nil {
		return ledger.Award{}, err
	}
	if a := r.users[posting.UserKey{UID: uid, N: n}]; a != nil {
		return s.full(a), nil
	}
	return ledger.Award{}, &ledger.Error{Op: "award of " + uid + " in", RedPacket: id, Err: ledger.ErrNotFound}
}

// Reconcile implements ledger.Reader.
func (s *Store) Reconcile(_ context.Context, id string, fn func(*ledger.Award) error) (ledger.Sums, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Sums{}, err
	}
	r, err := s.find("reconcile", id)
	if err != nil {
		done()
		return ledger.Sums{}, err
	}
	sums := ledger.Sums{RedPacket: r.RedPacket, Funded: -r.balance(ledger.AccountPayment), Positions: s.positions(r.Home), Awards: len(r.awards)}
	var by [ledger.Accounts]int64
	for a := range by {
		by[a] = r.balance(ledger.Account(a))
	}
	posting.Fill(&sums, by)
	for _, b := range sortedKeys(r.closes) {
		sums.Closes, sums.ClosedIn = append(sums.Closes, r.closes[b]), append(sums.ClosedIn, b)
		sums.LeftShares += r.closes[b].LeftShares
	}
	sums.Moves = slices.Clone(r.moves)
	for _, share := range sortedKeys(r.held) {
		sums.Held = append(sums.Held, *r.held[share])
	}
	list := make([]ledger.Award, 0, len(r.awards))
	for _, share := range sortedKeys(r.awards) {
		a := s.full(r.awards[share])
		sums.Awarded += a.Amount
		list = append(list, a)
	}
	done() // fn may take its time
	for i := range list {
		if fn == nil {
			break
		}
		if err := fn(&list[i]); err != nil {
			return sums, err
		}
	}
	return sums, nil
}

// PutProof implements ledger.Reader.
func (s *Store) PutProof(_ context.Context, p ledger.Proof) error {
	return s.write("proof", func() error {
		if _, err := s.find("proof of", p.RedPacket); err != nil {
			return err
		}
		p.At = posting.Time(posting.Ms(p.At))
		p.Document = slices.Clone(p.Document)
		s.proofs[p.RedPacket] = append(s.proofs[p.RedPacket], p)
		return nil
	})
}

// Proof implements ledger.Reader.
func (s *Store) Proof(_ context.Context, id string) (ledger.Proof, error) {
	done, err := s.read()
	if err != nil {
		return ledger.Proof{}, err
	}
	defer done()
	list := s.proofs[id]
	if len(list) == 0 {
		return ledger.Proof{}, &ledger.Error{Op: "proof of", RedPacket: id, Err: ledger.ErrNotFound}
	}
	return list[len(list)-1], nil
}

// Correct implements ledger.Store.
func (s *Store) Correct(_ context.Context, c ledger.Correction) error {
	if err := posting.CheckCorrection(c); err != nil {
		return err
	}
	c.At = posting.Time(posting.Ms(c.At))
	return s.write("correct", func() error {
		r, err := s.find("correct", c.RedPacket)
		if err != nil {
			return err
		}
		if had, ok := r.corrections[c.Number]; ok {
			return posting.SameCorrection(had, c)
		}
		if more := posting.CorrectionReturned(c); more > r.run.Left() {
			return posting.Overcorrected(c, r.run.Left())
		}
		r.corrections[c.Number] = c
		r.run.Returned += posting.CorrectionReturned(c)
		s.move(r, ledger.EntryCorrect(c.Number), c.From, c.To, c.Amount)
		return nil
	})
}

// Audit implements ledger.Store.
func (s *Store) Audit(context.Context) (ledger.AuditReport, error) {
	done, err := s.read()
	if err != nil {
		return ledger.AuditReport{}, err
	}
	defer done()
	rep := ledger.AuditReport{RedPackets: len(s.reds), Transactions: int(s.txn), Postings: s.postings}
	bad := func(format string, a ...any) {
		if len(rep.Problems) < 100 {
			rep.Problems = append(rep.Problems, fmt.Sprintf(format, a...))
		}
	}
	for _, r := range s.reds {
		entries := map[ledger.Entry]int64{}
		for a := range r.accounts {
			for _, p := range r.accounts[a] {
				entries[p.entry] += p.amount
				if ledger.Account(a) == ledger.AccountPayable && p.entry.IsWin() {
					if w := r.awards[p.entry.Index()]; w == nil || w.Amount != p.amount {
						bad("red packet %s share %d: posted %d fen without such an award", r.ID, p.entry.Index(), p.amount)
					}
				}
			}
		}
		for e, sum := range entries {
			if sum != 0 {
				bad("red packet %s entry %d: sums to %d fen", r.ID, e, sum)
			}
		}
		var awarded int64
		for _, a := range r.awards {
			rep.Awards++
			awarded += a.Amount
			if _, ok := entries[ledger.EntryWin(a.Share)]; !ok && a.Amount != 0 {
				bad("red packet %s share %d: award of %d fen without postings", r.ID, a.Share, a.Amount)
			}
		}
		if awarded != r.run.Awarded || r.balance(ledger.AccountRedPacket) != r.run.Left() ||
			r.balance(ledger.AccountQuarantine) != r.run.Held {
			bad("red packet %s: running totals %+v differ from the postings", r.ID, r.run)
		}
	}
	slices.Sort(rep.Problems)
	return rep, nil
}
