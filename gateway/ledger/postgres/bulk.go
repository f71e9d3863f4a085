package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"sluice/gateway/ledger/internal/posting"
	"sluice/gateway/ledger/internal/sqlstore"
)

const (
	insertTxns = `INSERT INTO txn (id, at, op, bucket, from_epoch, from_seq, to_epoch, to_seq)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])`

	insertAwards = `WITH w AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
			$7::text[], $8::text[], $9::bigint[], $10::text[], $11::bigint[]) AS w (k, share, bucket, txn, epoch, seq, uid, n, amount, prize, at)),
		a AS (INSERT INTO award (k, share, bucket, txn, epoch, seq, uid, n, amount, prize, at) SELECT * FROM w),
		p AS (INSERT INTO posting (account, entry, amount, txn)
			SELECT k * 8 + 1, share * 16 + 1, -amount, txn FROM w WHERE amount <> 0
			UNION ALL SELECT k * 8 + 2, share * 16 + 1, amount, txn FROM w WHERE amount <> 0)
		INSERT INTO outbox (k, entry) SELECT k, share * 16 + 1 FROM w`

	insertPostings = `INSERT INTO posting (account, entry, amount, txn) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])`

	insertOutbox = `INSERT INTO outbox (k, entry) SELECT * FROM unnest($1::bigint[], $2::bigint[])`
)

// Bulk implements sqlstore.Dialect: all in one round trip.
func (d *dialect) Bulk(ctx context.Context, t sqlstore.Tx, b *sqlstore.Bulk) error {
	var q pgx.Batch
	if len(b.Txns) > 0 {
		queueTxns(&q, b.Txns)
	}
	if len(b.Awards) > 0 {
		queueAwards(&q, b.Awards)
	}
	if len(b.Postings) > 0 {
		c := table(4, len(b.Postings))
		for _, p := range b.Postings {
			c.add(p.Account, int64(p.Entry), p.Amount, p.Txn)
		}
		q.Queue(insertPostings, c.args()...)
	}
	if len(b.Outbox) > 0 {
		c := table(2, len(b.Outbox))
		for _, r := range b.Outbox {
			c.add(r.K, int64(r.Entry))
		}
		q.Queue(insertOutbox, c.args()...)
	}
	if q.Len() == 0 {
		return nil
	}
	return t.(tx).SendBatch(ctx, &q).Close()
}

// columns are rows of numbers, turned.
type columns [][]int64

func table(width, rows int) columns {
	c := make(columns, width)
	for i := range c {
		c[i] = make([]int64, 0, rows)
	}
	return c
}

func (c columns) add(row ...int64) {
	for i, v := range row {
		c[i] = append(c[i], v)
	}
}

func (c columns) args() []any {
	out := make([]any, len(c))
	for i := range c {
		out[i] = c[i]
	}
	return out
}

func queueTxns(q *pgx.Batch, list []sqlstore.Txn) {
	c := table(7, len(list))
	ops := make([]string, len(list))
	for i, x := range list {
		c.add(x.ID, x.At, int64(x.Key.Home)<<21|int64(x.Key.Bucket), int64(x.From.Epoch), int64(x.From.Seq), int64(x.To.Epoch), int64(x.To.Seq))
		ops[i] = x.Op
	}
	q.Queue(insertTxns, c[0], c[1], ops, c[2], c[3], c[4], c[5], c[6])
}

func queueAwards(q *pgx.Batch, list []sqlstore.Award) {
	c := table(8, len(list))
	uids, ns, prizes := make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	for i := range list {
		a := &list[i]
		c.add(a.K, int64(a.Share), a.Bucket, a.Txn, int64(a.Epoch), int64(a.Seq), a.Amount, posting.Ms(a.At))
		uids[i], ns[i], prizes[i] = a.UID, a.N, a.Prize
	}
	q.Queue(insertAwards, c[0], c[1], c[2], c[3], c[4], c[5], uids, ns, c[6], prizes, c[7])
}
