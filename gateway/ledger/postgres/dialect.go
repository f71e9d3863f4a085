package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/sqlstore"
)

// dialect is PostgreSQL behind sqlstore.
type dialect struct{ pool *pgxpool.Pool }

type tx struct{ pgx.Tx }

func (t tx) Exec(ctx context.Context, q string, args ...any) (int64, error) {
	tag, err := t.Tx.Exec(ctx, q, args...)
	return tag.RowsAffected(), err
}

func (t tx) Query(ctx context.Context, q string, args ...any) (sqlstore.Rows, error) {
	rows, err := t.Tx.Query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (t tx) Many(ctx context.Context, q string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	var b pgx.Batch
	for _, args := range rows {
		b.Queue(q, args...)
	}
	return t.SendBatch(ctx, &b).Close()
}

// PostgreSQL's codes for what running again may cure.
const (
	uniqueViolation = "23505"
	checkViolation  = "23514"
	serialization   = "40001"
	deadlock        = "40P01"
)

// tries bounds how often a transaction runs again.
const tries = 8

// Write implements sqlstore.Dialect.
func (d *dialect) Write(ctx context.Context, fn func(sqlstore.Tx, int) error) error {
	attempt := 1
	for n := 1; ; n++ {
		err := pgx.BeginFunc(ctx, d.pool, func(t pgx.Tx) error { return fn(tx{t}, attempt) })
		var e *pgconn.PgError
		if err == nil || !errors.As(err, &e) || n == tries {
			return closed(err)
		}
		switch e.Code {
		case uniqueViolation, checkViolation:
			attempt++
		case serialization, deadlock:
			select {
			case <-time.After(time.Duration(n) * 5 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return err
		}
	}
}

// Read implements sqlstore.Dialect.
func (d *dialect) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(t pgx.Tx) error { return fn(tx{t}) })
	return closed(err)
}

func closed(err error) error {
	if err != nil && err.Error() == "closed pool" { // puddle.ErrClosedPool, which pgxpool does not export
		return ledger.ErrClosed
	}
	return err
}

// Close implements sqlstore.Dialect: calls under way finish.
func (d *dialect) Close() error {
	d.pool.Close()
	return nil
}

func (d *dialect) Any(expr string, n int) string { return expr + " = ANY($" + strconv.Itoa(n) + ")" }

func (d *dialect) Pairs(a, b string, n int, refs []sqlstore.Ref) (string, []any) {
	ks, es := make([]int64, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		ks[i], es[i] = r.K, int64(r.Entry)
	}
	return "(" + a + ", " + b + ") IN (SELECT * FROM unnest($" + strconv.Itoa(n) + "::bigint[], $" + strconv.Itoa(n+1) + "::bigint[]))", []any{ks, es}
}

func (d *dialect) Ints(list []int64) any     { return list }
func (d *dialect) Strings(list []string) any { return list }
func (d *dialect) Lock() string              { return " FOR UPDATE" }
func (d *dialect) Skip() string              { return " FOR UPDATE SKIP LOCKED" }

// NextTxns implements sqlstore.Dialect. Numbers of what is rolled back are not
// given again.
func (d *dialect) NextTxns(ctx context.Context, t sqlstore.Tx, n int) ([]int64, error) {
	rows, err := t.(tx).Tx.Query(ctx, `SELECT nextval('txn_id') FROM generate_series(1, $1)`, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
