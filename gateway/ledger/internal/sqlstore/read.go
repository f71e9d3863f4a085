package sqlstore

import (
	"context"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

const selectAward = `SELECT r.k, r.id, r.home, a.bucket, a.txn, a.share, a.epoch, a.seq, a.uid, a.n, a.amount, a.prize, a.at,
	COALESCE(p.state, 0), COALESCE(p.done_at, 0)
	FROM award a JOIN redpacket r ON r.k = a.k LEFT JOIN payout p ON p.k = a.k AND p.entry = a.share * 16 + 1 `

type awardRow struct {
	ledger.Award
	k, at, paid int64
	state       int
}

func (a *awardRow) dest() []any {
	return []any{&a.k, &a.RedPacket, &a.Home, &a.Bucket, &a.Txn, &a.Share, &a.Epoch, &a.Seq, &a.UID, &a.N, &a.Amount, &a.Prize, &a.at, &a.state, &a.paid}
}

func (a *awardRow) done() ledger.Award {
	a.At, a.PayState, a.PaidAt = posting.Time(a.at), ledger.PayState(a.state), posting.Time(a.paid)
	return a.Award
}

// Wins implements ledger.Reader.
func (s *Store) Wins(ctx context.Context, id, cursor string, limit int) (out []ledger.Award, next string, err error) {
	after, err := posting.ShareCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.d.Read(ctx, func(tx Tx) error {
		out, next = nil, ""
		r, err := s.red(ctx, tx, "wins of", id, false)
		if err != nil {
			return err
		}
		var a awardRow
		return scan(ctx, tx, a.dest(), func() error {
			if len(out) == limit {
				next = posting.CursorOfShare(out[limit-1].Share)
				return nil
			}
			out = append(out, a.done())
			return nil
		}, selectAward+`WHERE a.k = $1 AND a.share > $2 ORDER BY a.share LIMIT $3`, r.k, after, limit+1)
	})
	return out, next, err
}

// WinsOf implements ledger.Reader.
func (s *Store) WinsOf(ctx context.Context, uid, cursor string, limit int) (out []ledger.Award, next string, err error) {
	k, n, err := posting.UserCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.d.Read(ctx, func(tx Tx) error {
		out, next = nil, ""
		var a awardRow
		last := int64(0)
		return scan(ctx, tx, a.dest(), func() error {
			if len(out) == limit {
				next = posting.CursorOfUser(last, out[limit-1].N)
				return nil
			}
			out, last = append(out, a.done()), a.k
			return nil
		}, selectAward+`WHERE a.uid = $1 AND a.k <= $2 AND (a.k < $2 OR a.n < $3) ORDER BY a.k DESC, a.n DESC LIMIT $4`, uid, k, n, limit+1)
	})
	return out, next, err
}

// Award implements ledger.Reader.
func (s *Store) Award(ctx context.Context, id, uid, n string) (out ledger.Award, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		r, err := s.red(ctx, tx, "award of", id, false)
		if err != nil {
			return err
		}
		var a awardRow
		found, err := row(ctx, tx, a.dest(), selectAward+`WHERE a.uid = $1 AND a.k = $2 AND a.n = $3`, uid, r.k, n)
		if err == nil && !found {
			return &ledger.Error{Op: "award of " + uid + " in", RedPacket: id, Err: ledger.ErrNotFound}
		}
		out = a.done()
		return err
	})
	return out, err
}

// Reconcile implements ledger.Reader.
func (s *Store) Reconcile(ctx context.Context, id string, fn func(*ledger.Award) error) (out ledger.Sums, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		out = ledger.Sums{}
		r, err := s.red(ctx, tx, "reconcile", id, false)
		if err != nil {
			return err
		}
		out.RedPacket = r.RedPacket
		if out.Positions, err = s.positions(ctx, tx, r.Home); err != nil {
			return err
		}
		var by [ledger.Accounts]int64
		var account, sum int64
		if err := scan(ctx, tx, []any{&account, &sum}, func() error {
			by[account-AccountOf(r.k, 0)] = sum
			return nil
		}, `SELECT account, CAST(sum(amount) AS bigint) FROM posting WHERE account >= $1 AND account < $2 GROUP BY account`,
			AccountOf(r.k, 0), AccountOf(r.k+1, 0)); err != nil {
			return err
		}
		posting.Fill(&out, by)
		if err := s.closes(ctx, tx, r, &out); err != nil {
			return err
		}
		if out.Moves, err = moves(ctx, tx, r.k, r.ID, ""); err != nil {
			return err
		}
		if out.Held, err = s.held(ctx, tx, `WHERE h.k = $1 ORDER BY h.share`, r.k); err != nil {
			return err
		}
		return s.awards(ctx, tx, r.k, func(a *ledger.Award) error {
			out.Awards++
			out.Awarded += a.Amount
			if fn == nil {
				return nil
			}
			a.RedPacket, a.Home = r.ID, r.Home
			return fn(a)
		})
	})
	return out, err
}

func (s *Store) closes(ctx context.Context, tx Tx, r *redRow, out *ledger.Sums) error {
	c := ledger.Close{RedPacket: r.ID}
	var at int64
	var bucket int
	return scan(ctx, tx, []any{&bucket, &c.Left, &c.LeftShares, &c.Epoch, &c.Seq, &c.Reason, &at}, func() error {
		c.At = posting.Time(at)
		out.Closes, out.ClosedIn = append(out.Closes, c), append(out.ClosedIn, bucket)
		out.LeftShares += c.LeftShares
		return nil
	}, `SELECT bucket, left_fen, left_shares, epoch, seq, reason, at FROM closed WHERE k = $1 ORDER BY bucket`, r.k)
}

// PutProof implements ledger.Reader.
func (s *Store) PutProof(ctx context.Context, p ledger.Proof) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		r, err := s.red(ctx, tx, "proof of", p.RedPacket, false)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO proof (k, at, document) VALUES ($1, $2, $3)`, r.k, posting.Ms(p.At), blob(p.Document))
		return err
	})
}

// Proof implements ledger.Reader.
func (s *Store) Proof(ctx context.Context, id string) (ledger.Proof, error) {
	p := ledger.Proof{RedPacket: id}
	err := s.d.Read(ctx, func(tx Tx) error {
		var at int64
		found, err := row(ctx, tx, []any{&at, &p.Document}, `SELECT p.at, p.document FROM proof p JOIN redpacket r ON r.k = p.k
			WHERE r.id = $1 ORDER BY p.id DESC LIMIT 1`, id)
		if err == nil && !found {
			return &ledger.Error{Op: "proof of", RedPacket: id, Err: ledger.ErrNotFound}
		}
		p.At = posting.Time(at)
		return err
	})
	return p, err
}

// Correct implements ledger.Store.
func (s *Store) Correct(ctx context.Context, c ledger.Correction) error {
	if err := posting.CheckCorrection(c); err != nil {
		return err
	}
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		r, err := s.red(ctx, tx, "correct", c.RedPacket, true)
		if err != nil {
			return err
		}
		had := ledger.Correction{RedPacket: c.RedPacket, Number: c.Number}
		found, err := row(ctx, tx, []any{&had.From, &had.To, &had.Amount, &had.Who, &had.Why},
			`SELECT from_account, to_account, amount, who, why FROM correction WHERE k = $1 AND number = $2`, r.k, c.Number)
		if err != nil {
			return err
		}
		if found {
			return posting.SameCorrection(had, c)
		}
		var left int64
		if _, err := row(ctx, tx, []any{&left}, `SELECT funded - awarded - returned - held FROM running WHERE k = $1`, r.k); err != nil {
			return err
		}
		more := posting.CorrectionReturned(c)
		if more > left {
			return posting.Overcorrected(c, left)
		}
		var b Bulk
		txn, err := s.txn(ctx, tx, &b, "correct")
		if err != nil {
			return err
		}
		b.Move(txn, r.k, ledger.EntryCorrect(c.Number), c.From, c.To, c.Amount)
		if err := s.d.Bulk(ctx, tx, &b); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO correction (k, number, txn, from_account, to_account, amount, who, why, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, r.k, c.Number, txn, int64(c.From), int64(c.To), c.Amount, c.Who, c.Why, posting.Ms(c.At)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE running SET returned = returned + $2 WHERE k = $1`, r.k, more)
		return err
	})
}
