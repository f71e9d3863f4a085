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
//
// Binding a value costs as much as storing it, so share, bucket and epoch come
// as one number (see pack), and most awards, whose n is "1" and whose prize is
// "", bind neither.
const (
	insertUsual  = `INSERT OR FAIL INTO award VALUES (?1, ?2 & 0x7fffffff, (?2 >> 31) & 0xfffff, ?3, ?2 >> 51, ?4, ?5, '1', ?6, '', ?7)`
	insertAward  = `INSERT OR FAIL INTO award VALUES (?1, ?2 & 0x7fffffff, (?2 >> 31) & 0xfffff, ?3, ?2 >> 51, ?4, ?5, ?8, ?6, ?9, ?7)`
	segment      = ` FROM award WHERE k = $1 AND share BETWEEN $2 AND $3 AND txn = $4`
	segmentMinus = `INSERT OR FAIL INTO posting SELECT k * 8 + 1, share * 16 + 1, -amount, txn` + segment + ` AND amount <> 0`
	segmentPlus  = `INSERT OR FAIL INTO posting SELECT k * 8 + 2, share * 16 + 1, amount, txn` + segment + ` AND amount <> 0`
	segmentOut   = `INSERT OR FAIL INTO outbox (k, entry) SELECT k, share * 16 + 1` + segment
	insertPair   = `INSERT OR FAIL INTO posting VALUES ($1, $3, -$4, $5), ($2, $3, $4, $5)`
	insertTxn    = `INSERT OR FAIL INTO txn VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	insertPost   = `INSERT OR FAIL INTO posting VALUES ($1, $2, $3, $4)`
	insertOutbox = `INSERT OR FAIL INTO outbox (k, entry) VALUES ($1, $2)`
)

// pack puts share (31 bits), bucket (20) and epoch (12) into one number.
func pack(share int, bucket int64, epoch uint64) int64 {
	return int64(share) | bucket<<31 | int64(epoch)<<51
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

// awards inserts awards one by one and makes postings and outbox rows out of
// them, a segment at a time.
func (t *tx) awards(ctx context.Context, list []sqlstore.Award) error {
	if err := t.conn.Raw(func(c any) error { return insertAll(c.(driver.Conn), list) }); err != nil {
		return err
	}
	for len(list) > 0 {
		n := 1
		low, high, money := list[0].Share, list[0].Share, list[0].Amount != 0
		for n < len(list) && list[n].K == list[0].K && list[n].Txn == list[0].Txn {
			low, high = min(low, list[n].Share), max(high, list[n].Share)
			money = money || list[n].Amount != 0
			n++
		}
		if err := t.follow(ctx, list[:n], low, high, money); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// follow makes what follows from a segment: awards of one red packet and one
// transaction, with shares from low to high.
func (t *tx) follow(ctx context.Context, list []sqlstore.Award, low, high int, money bool) error {
	if len(list) < 4 || high-low > 4*len(list) {
		return t.followEach(ctx, list)
	}
	var minus, plus int64
	var err error
	if money {
		if minus, err = t.Exec(ctx, segmentMinus, list[0].K, low, high, list[0].Txn); err != nil {
			return err
		}
		if plus, err = t.Exec(ctx, segmentPlus, list[0].K, low, high, list[0].Txn); err != nil {
			return err
		}
	}
	out, err := t.Exec(ctx, segmentOut, list[0].K, low, high, list[0].Txn)
	if err != nil {
		return err
	}
	if plus != minus || out != int64(len(list)) { // both legs come from the same rows
		return fmt.Errorf("ledger: %w: %d awards made %d and %d postings and %d outbox rows", ledger.ErrUnbalanced, len(list), minus, plus, out)
	}
	return nil
}

// followEach does the same award by award: for few, or shares far apart.
func (t *tx) followEach(ctx context.Context, list []sqlstore.Award) error {
	for i := range list {
		a := &list[i]
		e := int64(ledger.EntryWin(a.Share))
		if a.Amount != 0 {
			from, to := sqlstore.AccountOf(a.K, ledger.AccountRedPacket), sqlstore.AccountOf(a.K, ledger.AccountPayable)
			if _, err := t.Exec(ctx, insertPair, from, to, e, a.Amount, a.Txn); err != nil {
				return err
			}
		}
		if _, err := t.Exec(ctx, insertOutbox, a.K, e); err != nil {
			return err
		}
	}
	return nil
}

// insertAll goes past database/sql, which costs as much as SQLite itself here.
func insertAll(c driver.Conn, list []sqlstore.Award) error {
	usual, err := prepare(c, insertUsual)
	if err != nil {
		return err
	}
	defer usual.Close()
	full, err := prepare(c, insertAward)
	if err != nil {
		return err
	}
	defer full.Close()
	args := make([]driver.NamedValue, 9)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	for i := range list {
		a := &list[i]
		args[0].Value, args[1].Value, args[2].Value = a.K, pack(a.Share, a.Bucket, a.Epoch), a.Txn
		args[3].Value, args[4].Value, args[5].Value, args[6].Value = int64(a.Seq), a.UID, a.Amount, posting.Ms(a.At)
		if a.N == "1" && a.Prize == "" {
			_, err = usual.ExecContext(context.Background(), args[:7])
		} else {
			args[7].Value, args[8].Value = a.N, a.Prize
			_, err = full.ExecContext(context.Background(), args)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// statement is a prepared statement of the driver itself.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func prepare(c driver.Conn, q string) (statement, error) {
	s, err := c.Prepare(q)
	if err != nil {
		return nil, err
	}
	st, ok := s.(statement)
	if !ok {
		s.Close()
		return nil, fmt.Errorf("ledger: the SQLite driver lacks statements with contexts")
	}
	return st, nil
}
