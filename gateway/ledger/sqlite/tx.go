package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"sluice/gateway/ledger/internal/sqlstore"
)

// tx is one connection with its prepared statements. Only one goroutine uses
// it at a time.
type tx struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func pin(ctx context.Context, db *sql.DB) (*tx, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &tx{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (t *tx) close() {
	for _, s := range t.stmts {
		_ = s.Close()
	}
	_ = t.conn.Close()
}

// maxStmts bounds the prepared statements of a connection. The statements are
// constants of the program but for the filters of EachRedPacket.
const maxStmts = 200

// stmt prepares once. The context is not the caller's: with one that can be
// cancelled, the driver starts a goroutine for every call.
func (t *tx) stmt(q string) (*sql.Stmt, error) {
	if s := t.stmts[q]; s != nil {
		return s, nil
	}
	if len(t.stmts) >= maxStmts {
		for k, s := range t.stmts {
			_ = s.Close()
			delete(t.stmts, k)
			break
		}
	}
	s, err := t.conn.PrepareContext(context.Background(), strings.ReplaceAll(q, "$", "?"))
	if err == nil {
		t.stmts[q] = s
	}
	return s, err
}

func (t *tx) Exec(_ context.Context, q string, args ...any) (int64, error) {
	s, err := t.stmt(q)
	if err != nil {
		return 0, err
	}
	res, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *tx) Many(_ context.Context, q string, rows [][]any) error {
	s, err := t.stmt(q)
	if err != nil {
		return err
	}
	for _, args := range rows {
		if _, err := s.Exec(args...); err != nil {
			return err
		}
	}
	return nil
}

type rows struct{ *sql.Rows }

func (r rows) Close() { _ = r.Rows.Close() }

func (t *tx) Query(ctx context.Context, q string, args ...any) (sqlstore.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := t.stmt(q)
	if err != nil {
		return nil, err
	}
	r, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

// plain runs a statement without arguments or answer.
func (t *tx) plain(q string) error {
	_, err := t.Exec(context.Background(), q)
	return err
}
