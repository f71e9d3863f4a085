package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
	"sluice/gateway/ledger/internal/sqlstore"
)

// Reading a value costs as much as finding its row, so share, bucket and epoch
// come as one number (see pack), and uid, n and prize as one text: the uid
// alone, or, when the others are not the usual ones, the three as JSON.
// Pay-outs are read beside the awards, both in the order of shares, instead of
// being looked up one by one.
const (
	awardsOf = `SELECT share | (bucket << 31) | (epoch << 51), seq, amount, at,
		CASE WHEN n = '1' AND prize = '' AND substr(uid, 1, 1) <> '[' THEN uid ELSE json_array(uid, n, prize) END
		FROM award WHERE k = ?1 ORDER BY share`
	payoutsOf = `SELECT entry >> 4, state, done_at FROM payout WHERE k = ?1 AND entry & 15 = 1 ORDER BY entry`
)

// Awards implements sqlstore.Dialect: a million rows in a second or two, by
// reading the driver's rows without database/sql around them.
func (d *dialect) Awards(ctx context.Context, stx sqlstore.Tx, k int64, fn func(*ledger.Award) error) error {
	return stx.(*tx).conn.Raw(func(c any) error {
		awards, err := cursor(c.(driver.Conn), awardsOf, k, 5)
		if err != nil {
			return err
		}
		defer awards.close()
		payouts, err := cursor(c.(driver.Conn), payoutsOf, k, 3)
		if err != nil {
			return err
		}
		defer payouts.close()
		return each(ctx, awards, payouts, fn)
	})
}

// rowsOf is an open query and its current row.
type rowsOf struct {
	stmt statement
	rows driver.Rows
	v    []driver.Value
}

func cursor(c driver.Conn, q string, k int64, width int) (*rowsOf, error) {
	s, err := prepare(c, q)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: k}})
	if err != nil {
		s.Close()
		return nil, err
	}
	return &rowsOf{stmt: s, rows: r, v: make([]driver.Value, width)}, nil
}

func (r *rowsOf) close() {
	_ = r.rows.Close()
	_ = r.stmt.Close()
}

// next reports whether there is a row.
func (r *rowsOf) next() (bool, error) {
	err := r.rows.Next(r.v)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

func (r *rowsOf) num(i int) int64 { n, _ := r.v[i].(int64); return n }

func each(ctx context.Context, awards, payouts *rowsOf, fn func(*ledger.Award) error) error {
	var a ledger.Award
	more, err := payouts.next()
	for i := 0; err == nil; i++ {
		ok, err := awards.next()
		if err != nil || !ok {
			return err
		}
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := awards.award(&a); err != nil {
			return err
		}
		for more && payouts.num(0) < int64(a.Share) {
			if more, err = payouts.next(); err != nil {
				return err
			}
		}
		a.PayState, a.PaidAt = ledger.Queued, posting.Time(0)
		if more && payouts.num(0) == int64(a.Share) {
			a.PayState, a.PaidAt = ledger.PayState(payouts.num(1)), posting.Time(payouts.num(2))
		}
		if err := fn(&a); err != nil {
			return err
		}
	}
	return err
}

// award unpacks the current row.
func (r *rowsOf) award(a *ledger.Award) error {
	n := r.num(0)
	a.Share, a.Bucket, a.Epoch = int(n&0x7fffffff), int(n>>31&0xfffff), uint64(n>>51)
	a.Seq, a.Amount, a.At = uint64(r.num(1)), r.num(2), posting.Time(r.num(3))
	a.UID, _ = r.v[4].(string)
	a.N, a.Prize = "1", ""
	if len(a.UID) == 0 || a.UID[0] != '[' {
		return nil
	}
	three := [3]*string{&a.UID, &a.N, &a.Prize}
	if err := json.Unmarshal([]byte(a.UID), &three); err != nil {
		return fmt.Errorf("ledger: award of share %d: %w", a.Share, err)
	}
	return nil
}
