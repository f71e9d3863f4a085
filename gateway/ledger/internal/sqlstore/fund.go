package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

const selectRed = `SELECT r.k, r.id, r.sender, r.home, r.bucket, r.mode, r.audience, r.lock, r.amount, r.count, r.min, r.max,
	r.opens_at, r.closes_at, r.created_at, r.seed, r.seed_hash, r.spec, r.body_hash, x.state, x.payment
	FROM redpacket r JOIN running x ON x.k = r.k `

// redRow is a red packet with its number, and where to scan it.
type redRow struct {
	k int64
	ledger.RedPacket
	opens, closes, created int64
}

func (r *redRow) dest() []any {
	return []any{&r.k, &r.ID, &r.Sender, &r.Home, &r.Bucket, &r.Mode, &r.Audience, &r.Lock, &r.Amount, &r.Count, &r.Min, &r.Max,
		&r.opens, &r.closes, &r.created, &r.Seed, &r.SeedHash, &r.Spec, &r.BodyHash, &r.State, &r.Payment}
}

func (r *redRow) times() {
	r.OpensAt, r.ClosesAt, r.CreatedAt = posting.Time(r.opens), posting.Time(r.closes), posting.Time(r.created)
}

// red reads one; lock holds its running row until the transaction ends.
func (s *Store) red(ctx context.Context, tx Tx, op, id string, lock bool) (*redRow, error) {
	if lock {
		var k int64
		q := `SELECT x.k FROM running x WHERE x.k = (SELECT k FROM redpacket WHERE id = $1)` + s.d.Lock()
		if _, err := row(ctx, tx, []any{&k}, q, id); err != nil {
			return nil, err
		}
	}
	var r redRow
	found, err := row(ctx, tx, r.dest(), selectRed+`WHERE r.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &ledger.Error{Op: op, RedPacket: id, Err: ledger.ErrNotFound}
	}
	r.times()
	return &r, nil
}

// PutRedPacket implements ledger.RedPackets.
func (s *Store) PutRedPacket(ctx context.Context, r ledger.RedPacket) (stored ledger.RedPacket, created bool, err error) {
	if r, err = posting.CheckRedPacket(r); err != nil {
		return r, false, err
	}
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		stored, created = ledger.RedPacket{}, false
		var had redRow
		found, err := row(ctx, tx, had.dest(), selectRed+`WHERE r.id = $1`, r.ID)
		if err != nil {
			return err
		}
		if found {
			had.times()
			stored = had.RedPacket
			return posting.SameRedPacket(stored, r)
		}
		if err := s.addRed(ctx, tx, r); err != nil {
			return err
		}
		stored, created = r, true
		return nil
	})
	return stored, created, err
}

func (s *Store) addRed(ctx context.Context, tx Tx, r ledger.RedPacket) error {
	var k int64
	_, err := row(ctx, tx, []any{&k}, `INSERT INTO redpacket (id, sender, home, bucket, mode, audience, lock, amount, count, min, max,
		opens_at, closes_at, created_at, seed, seed_hash, spec, body_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) RETURNING k`,
		r.ID, r.Sender, r.Home, r.Bucket, r.Mode, r.Audience, r.Lock, r.Amount, r.Count, r.Min, r.Max,
		posting.Ms(r.OpensAt), posting.Ms(r.ClosesAt), posting.Ms(r.CreatedAt), blob(r.Seed), blob(r.SeedHash), blob(r.Spec), blob(r.BodyHash))
	if err != nil {
		return err
	}
	state := ledger.Unpaid
	if r.Amount == 0 { // funded by nothing: there is neither a payment nor a posting
		state = ledger.Funded
	}
	_, err = tx.Exec(ctx, `INSERT INTO running (k, state, payment) VALUES ($1, $2, $3)`, k, state, r.Payment)
	if err != nil || r.State == state {
		return err
	}
	var other string
	found, err := row(ctx, tx, []any{&other}, `SELECT r.id FROM payment p JOIN redpacket r ON r.k = p.k WHERE p.id = $1`, r.Payment)
	if err != nil {
		return err
	}
	if found {
		return &ledger.Error{Op: "fund", RedPacket: r.ID, Err: ledger.ErrConflict, Hint: "payment " + r.Payment + " is of " + other}
	}
	p := ledger.Payment{ID: r.Payment, Amount: r.Amount, State: ledger.PaymentConfirmed, AskedAt: r.CreatedAt, ConfirmedAt: posting.Time(s.ms())}
	if err := s.addPayment(ctx, tx, k, 0, p); err != nil {
		return err
	}
	return s.fund(ctx, tx, k, r.Payment, r.Amount)
}

// blob keeps NULL out of the tables.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// fund posts the money that came in.
func (s *Store) fund(ctx context.Context, tx Tx, k int64, payment string, amount int64) error {
	var b Bulk
	txn, err := s.txn(ctx, tx, &b, "fund")
	if err != nil {
		return err
	}
	b.Move(txn, k, ledger.EntryFund(), ledger.AccountPayment, ledger.AccountRedPacket, amount)
	if err := s.d.Bulk(ctx, tx, &b); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE running SET state = $2, payment = $3, funded = $4 WHERE k = $1`, k, ledger.Funded, payment, amount)
	return err
}

// RedPacket implements ledger.RedPackets.
func (s *Store) RedPacket(ctx context.Context, id string) (out ledger.RedPacket, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		r, err := s.red(ctx, tx, "read", id, false)
		if err == nil {
			out = r.RedPacket
		}
		return err
	})
	return out, err
}

// EachRedPacket implements ledger.RedPackets. It reads pages, so that fn may
// take its time without holding a snapshot.
func (s *Store) EachRedPacket(ctx context.Context, f ledger.Filter, fn func(ledger.RedPacket) error) error {
	const page = 500
	for after := int64(-1); ; {
		where, args := []string{"x.k > $1"}, []any{after}
		arg := func(format string, v any) {
			args = append(args, v)
			where = append(where, fmt.Sprintf(format, len(args)))
		}
		list := func(expr string, v any) {
			args = append(args, v)
			where = append(where, s.d.Any(expr, len(args)))
		}
		if len(f.Homes) > 0 {
			list("r.home", s.d.Ints(int64s(f.Homes)))
		}
		if len(f.Buckets) > 0 {
			list("r.bucket", s.d.Ints(int64s(f.Buckets)))
		}
		switch len(f.States) {
		case 0:
		case 1: // walks the index of (state, k), however many are past
			arg("x.state = $%d", f.States[0])
		default:
			list("x.state", s.d.Strings(f.States))
		}
		before := func(col string, t time.Time) {
			if !t.IsZero() {
				arg(col+" < $%d", posting.Ms(t))
			}
		}
		before("r.opens_at", f.OpensBefore)
		before("r.closes_at", f.ClosesBefore)
		since := func(col string, t time.Time) {
			if !t.IsZero() {
				arg(col+" > $%d", posting.Ms(t))
			}
		}
		since("r.closes_at", f.ClosesAfter)
		since("r.created_at", f.CreatedAfter)
		var got []redRow
		err := s.d.Read(ctx, func(tx Tx) error {
			got = got[:0]
			var r redRow
			return scan(ctx, tx, r.dest(), func() error {
				r.times()
				got = append(got, r)
				r.Seed, r.SeedHash, r.Spec, r.BodyHash = nil, nil, nil, nil
				return nil
			}, selectRed+"WHERE "+strings.Join(where, " AND ")+fmt.Sprintf(" ORDER BY x.k LIMIT %d", page), args...)
		})
		if err != nil {
			return err
		}
		for _, r := range got {
			if err := fn(r.RedPacket); err != nil {
				return stop(err)
			}
			after = r.k
		}
		if len(got) < page {
			return nil
		}
	}
}

func int64s(list []int) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}
