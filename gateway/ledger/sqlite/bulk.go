package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
	"sluice/gateway/ledger/internal/sqlstore"
)

// OR FAIL spares SQLite a journal for each statement: after a refusal the
// whole transaction (or savepoint) is rolled back anyway.
const (
	stageTable   = `CREATE TEMP TABLE staged (i INTEGER PRIMARY KEY, k, share, bucket, txn, epoch, seq, uid, n, amount, prize, at)`
	stageRow     = `INSERT OR FAIL INTO temp.staged (k, share, bucket, txn, epoch, seq, uid, n, amount, prize, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`
	stageAward   = `INSERT OR FAIL INTO award SELECT k, share, bucket, txn, epoch, seq, uid, n, amount, prize, at FROM temp.staged ORDER BY i`
	stageMinus   = `INSERT OR FAIL INTO posting SELECT k * 8 + 1, share * 16 + 1, -amount, txn FROM temp.staged WHERE amount <> 0 ORDER BY i`
	stagePlus    = `INSERT OR FAIL INTO posting SELECT k * 8 + 2, share * 16 + 1, amount, txn FROM temp.staged WHERE amount <> 0 ORDER BY i`
	stageOutbox  = `INSERT OR FAIL INTO outbox (k, entry) SELECT k, share * 16 + 1 FROM temp.staged ORDER BY i`
	stageClear   = `DELETE FROM temp.staged`
	insertTxn    = `INSERT OR FAIL INTO txn VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	insertPost   = `INSERT OR FAIL INTO posting VALUES ($1, $2, $3, $4)`
	insertOutbox = `INSERT OR FAIL INTO outbox (k, entry) VALUES ($1, $2)`
)

func (t *tx) stage(ctx context.Context) error {
	_, err := t.conn.ExecContext(ctx, stageTable)
	return err
}

// Bulk implements sqlstore.Dialect.
func (d *dialect) Bulk(ctx context.Context, stx sqlstore.Tx, b *sqlstore.Bulk) error {
	t := stx.(*tx)
	for i := range b.Txns {
		x := &b.Txns[i]
		if _, err := t.Exec(ctx, insertTxn, x.ID, x.At, x.Op, int64(x.Key.Home)<<21|int64(x.Key.Bucket),
			int64(x.From.Epoch), int64(x.From.Seq), int64(x.To.Epoch), int64(x.To.Seq)); err != nil {
			return err
		}
	}
	if len(b.Awards) > 0 {
		if err := t.awards(ctx, b.Awards); err != nil {
			return err
		}
	}
	var sum int64
	for _, p := range b.Postings {
		sum += p.Amount
		if _, err := t.Exec(ctx, insertPost, p.Account, int64(p.Entry), p.Amount, p.Txn); err != nil {
			return err
		}
	}
	if sum != 0 {
		return fmt.Errorf("ledger: %w: a transaction of %d fen", ledger.ErrUnbalanced, sum)
	}
	for _, r := range b.Outbox {
		if _, err := t.Exec(ctx, insertOutbox, r.K, int64(r.Entry)); err != nil {
			return err
		}
	}
	return nil
}

// awards binds each award once and lets SQLite make the rows of the tables.
func (t *tx) awards(ctx context.Context, list []sqlstore.Award) error {
	if _, err := t.Exec(ctx, stageClear); err != nil {
		return err
	}
	if err := t.conn.Raw(func(c any) error { return stageAll(c.(driver.Conn), list) }); err != nil {
		return err
	}
	n, err := t.Exec(ctx, stageAward)
	if err != nil {
		return err
	}
	minus, err := t.Exec(ctx, stageMinus)
	if err != nil {
		return err
	}
	plus, err := t.Exec(ctx, stagePlus)
	if err != nil {
		return err
	}
	if int(n) != len(list) || plus != minus { // both legs come from the same rows
		return fmt.Errorf("ledger: %w: %d awards staged, %d written with %d and %d postings", ledger.ErrUnbalanced, len(list), n, minus, plus)
	}
	if _, err = t.Exec(ctx, stageOutbox); err != nil {
		return err
	}
	_, err = t.Exec(ctx, stageClear)
	return err
}

// stageAll goes past database/sql, which costs as much as SQLite itself here.
func stageAll(c driver.Conn, list []sqlstore.Award) error {
	s, err := c.Prepare(stageRow)
	if err != nil {
		return err
	}
	defer s.Close()
	ex, ok := s.(driver.StmtExecContext)
	if !ok {
		return fmt.Errorf("ledger: the SQLite driver has no StmtExecContext")
	}
	args := make([]driver.NamedValue, 11)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	for i := range list {
		a := &list[i]
		for j, v := range [...]driver.Value{a.K, int64(a.Share), a.Bucket, a.Txn, int64(a.Epoch), int64(a.Seq), a.UID, a.N, a.Amount, a.Prize, posting.Ms(a.At)} {
			args[j].Value = v
		}
		if _, err := ex.ExecContext(context.Background(), args); err != nil {
			return err
		}
	}
	return nil
}
