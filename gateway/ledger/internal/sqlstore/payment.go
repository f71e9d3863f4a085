package sqlstore

import (
	"context"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

const selectPayment = `SELECT p.id, r.id, p.provider, p.amount, p.state, p.reference, p.asked_at, p.confirmed_at, p.k, p.num
	FROM payment p JOIN redpacket r ON r.k = p.k `

type paymentRow struct {
	ledger.Payment
	asked, confirmed, k, num int64
}

func (p *paymentRow) dest() []any {
	return []any{&p.ID, &p.RedPacket, &p.Provider, &p.Amount, &p.State, &p.Reference, &p.asked, &p.confirmed, &p.k, &p.num}
}

func (p *paymentRow) done() ledger.Payment {
	p.AskedAt, p.ConfirmedAt = posting.Time(p.asked), posting.Time(p.confirmed)
	return p.Payment
}

func (s *Store) addPayment(ctx context.Context, tx Tx, k, num int64, p ledger.Payment) error {
	_, err := tx.Exec(ctx, `INSERT INTO payment (id, k, num, provider, amount, state, reference, asked_at, confirmed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.ID, k, num, p.Provider, p.Amount, p.State, p.Reference, posting.Ms(p.AskedAt), posting.Ms(p.ConfirmedAt))
	return err
}

// PutPayment implements ledger.Payments.
func (s *Store) PutPayment(ctx context.Context, p ledger.Payment) (stored ledger.Payment, created bool, err error) {
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		stored, created = ledger.Payment{}, false
		var had paymentRow
		found, err := row(ctx, tx, had.dest(), selectPayment+`WHERE p.id = $1`, p.ID)
		if err != nil {
			return err
		}
		if found {
			stored = had.done()
			return posting.SamePayment(stored, p)
		}
		r, err := s.red(ctx, tx, "payment of", p.RedPacket, true)
		if err != nil {
			return err
		}
		if err := posting.CheckPayment(p, r.RedPacket); err != nil {
			return err
		}
		var num int64
		if _, err := row(ctx, tx, []any{&num}, `SELECT count(*) FROM payment WHERE k = $1`, r.k); err != nil {
			return err
		}
		n := p
		n.State, n.Reference, n.ConfirmedAt = ledger.PaymentAsked, "", time.Time{}
		n.AskedAt = posting.Time(posting.Ms(n.AskedAt))
		if err := s.addPayment(ctx, tx, r.k, num, n); err != nil {
			return err
		}
		if r.State == ledger.Unpaid {
			if _, err := tx.Exec(ctx, `UPDATE running SET payment = $2 WHERE k = $1`, r.k, n.ID); err != nil {
				return err
			}
		}
		stored, created = n, true
		return nil
	})
	return stored, created, err
}

// payment reads one with its red packet's running row locked.
func (s *Store) payment(ctx context.Context, tx Tx, op, id string) (*paymentRow, *redRow, error) {
	var p paymentRow
	read := func() error {
		found, err := row(ctx, tx, p.dest(), selectPayment+`WHERE p.id = $1`, id)
		if err == nil && !found {
			err = &ledger.Error{Op: op + " payment " + id, Err: ledger.ErrNotFound}
		}
		return err
	}
	if err := read(); err != nil {
		return nil, nil, err
	}
	r, err := s.red(ctx, tx, op, p.RedPacket, true)
	if err != nil {
		return nil, nil, err
	}
	return &p, r, read() // again, now that nobody else can change it
}

// Payment implements ledger.Payments.
func (s *Store) Payment(ctx context.Context, id string) (out ledger.Payment, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		var p paymentRow
		found, err := row(ctx, tx, p.dest(), selectPayment+`WHERE p.id = $1`, id)
		if err == nil && !found {
			return &ledger.Error{Op: "payment " + id, Err: ledger.ErrNotFound}
		}
		out = p.done()
		return err
	})
	return out, err
}

// ConfirmPayment implements ledger.Payments.
func (s *Store) ConfirmPayment(ctx context.Context, id string, amount int64, reference string, at time.Time) (out ledger.Payment, err error) {
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		p, r, err := s.payment(ctx, tx, "confirm", id)
		if err != nil {
			return err
		}
		state, err := posting.Confirm(p.Payment, r.State, amount)
		if err != nil || state == "" {
			out = p.done()
			return err
		}
		p.State, p.Reference, p.confirmed = state, reference, posting.Ms(at)
		out = p.done()
		if _, err := tx.Exec(ctx, `UPDATE payment SET state = $2, reference = $3, confirmed_at = $4 WHERE id = $1`,
			id, state, reference, p.confirmed); err != nil {
			return err
		}
		if state == ledger.PaymentConfirmed {
			return s.fund(ctx, tx, r.k, id, amount)
		}
		var b Bulk
		txn, err := s.txn(ctx, tx, &b, "late payment")
		if err != nil {
			return err
		}
		e := ledger.EntryLate(int(p.num))
		b.Move(txn, r.k, e, ledger.AccountPayment, ledger.AccountRefunding, amount)
		b.Outbox = append(b.Outbox, Ref{r.k, e})
		if err := s.d.Bulk(ctx, tx, &b); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE running SET refunding = refunding + $2 WHERE k = $1`, r.k, amount)
		return err
	})
	return out, err
}

// ExpirePayment implements ledger.Payments.
func (s *Store) ExpirePayment(ctx context.Context, id string, _ time.Time) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		p, r, err := s.payment(ctx, tx, "expire", id)
		switch {
		case err != nil:
			return err
		case p.State == ledger.PaymentExpired:
			return nil
		case p.State != ledger.PaymentAsked:
			return &ledger.Error{Op: "expire payment " + id, RedPacket: p.RedPacket, Err: ledger.ErrState, Hint: "it is " + p.State}
		}
		if _, err := tx.Exec(ctx, `UPDATE payment SET state = $2 WHERE id = $1`, id, ledger.PaymentExpired); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE running SET state = $2 WHERE k = $1 AND state = $3
			AND NOT EXISTS (SELECT 1 FROM payment p WHERE p.k = $1 AND p.state = $4)`, r.k, ledger.Expired, ledger.Unpaid, ledger.PaymentAsked)
		return err
	})
}

func (s *Store) payments(ctx context.Context, q string, args ...any) (out []ledger.Payment, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		out = out[:0]
		var p paymentRow
		return scan(ctx, tx, p.dest(), func() error {
			out = append(out, p.done())
			return nil
		}, selectPayment+q, args...)
	})
	return out, err
}

// EachPayment implements ledger.Payments. A window's payments are kept in
// memory: one for each red packet funded in it.
func (s *Store) EachPayment(ctx context.Context, from, to time.Time, fn func(ledger.Payment) error) error {
	list, err := s.payments(ctx, `WHERE p.confirmed_at >= $1 AND p.confirmed_at < $2 AND p.confirmed_at > 0
		ORDER BY p.confirmed_at, p.k, p.num`, posting.Ms(from), posting.Ms(to))
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := fn(p); err != nil {
			return stop(err)
		}
	}
	return nil
}

// UnpaidPayments implements ledger.Payments.
func (s *Store) UnpaidPayments(ctx context.Context, before time.Time, limit int) ([]ledger.Payment, error) {
	return s.payments(ctx, `WHERE p.state = $1 AND p.asked_at < $2 ORDER BY p.asked_at, p.k LIMIT $3`, ledger.PaymentAsked, posting.Ms(before), limit)
}
