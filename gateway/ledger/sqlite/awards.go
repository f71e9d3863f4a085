package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
	"sluice/gateway/ledger/internal/sqlstore"
)

const awardsOf = `SELECT a.share, a.bucket, a.txn, a.epoch, a.seq, a.uid, a.n, a.amount, a.prize, a.at, COALESCE(p.state, 0), COALESCE(p.done_at, 0)
	FROM award a LEFT JOIN payout p ON p.k = a.k AND p.entry = a.share * 16 + 1 WHERE a.k = ?1 ORDER BY a.share`

// Awards implements sqlstore.Dialect: a million rows in little more than a
// second, by reading the driver's rows without database/sql around them.
func (d *dialect) Awards(ctx context.Context, stx sqlstore.Tx, k int64, fn func(*ledger.Award) error) error {
	return stx.(*tx).conn.Raw(func(c any) error {
		s, err := c.(driver.Conn).Prepare(awardsOf)
		if err != nil {
			return err
		}
		defer s.Close()
		q, ok := s.(driver.StmtQueryContext)
		if !ok {
			return fmt.Errorf("ledger: the SQLite driver has no StmtQueryContext")
		}
		r, err := q.QueryContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: k}})
		if err != nil {
			return err
		}
		defer r.Close()
		return each(ctx, r, fn)
	})
}

func each(ctx context.Context, r driver.Rows, fn func(*ledger.Award) error) error {
	v := make([]driver.Value, 12)
	var a ledger.Award
	for i := 0; ; i++ {
		if err := r.Next(v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		n := func(i int) int64 { x, _ := v[i].(int64); return x }
		s := func(i int) string { x, _ := v[i].(string); return x }
		a.Share, a.Bucket, a.Txn = int(n(0)), int(n(1)), n(2)
		a.Epoch, a.Seq = uint64(n(3)), uint64(n(4))
		a.UID, a.N, a.Amount, a.Prize = s(5), s(6), n(7), s(8)
		a.At, a.PayState, a.PaidAt = posting.Time(n(9)), ledger.PayState(n(10)), posting.Time(n(11))
		if err := fn(&a); err != nil {
			return err
		}
	}
}
