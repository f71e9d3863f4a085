package sqlstore

import (
	"context"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// Rows are the answer to a Query.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Tx is one transaction.
type Tx interface {
	// Exec tells how many rows it changed.
	Exec(ctx context.Context, q string, args ...any) (int64, error)
	Query(ctx context.Context, q string, args ...any) (Rows, error)
	// Many runs one statement for each row of arguments, in one go.
	Many(ctx context.Context, q string, rows [][]any) error
}

// Dialect is one database.
type Dialect interface {
	// Write runs fn in a transaction and commits it durably. fn may run again:
	// alone, with attempt 2 and more, after a unique key or a check refused
	// something; it must set what it gives back from the start.
	Write(ctx context.Context, fn func(tx Tx, attempt int) error) error
	// Read runs fn on one snapshot.
	Read(ctx context.Context, fn func(tx Tx) error) error
	// Any is "expr is in the list of argument n".
	Any(expr string, n int) string
	// Pairs is "(a, b) is one of refs"; args are to be appended, the first is
	// argument n.
	Pairs(a, b string, n int, refs []Ref) (clause string, args []any)
	Ints(list []int64) any
	Strings(list []string) any
	// Lock is appended to a SELECT whose rows the transaction will change;
	// Skip passes over rows that another holds.
	Lock() string
	Skip() string
	// NextTxns gives n new transaction numbers, ascending.
	NextTxns(ctx context.Context, tx Tx, n int) ([]int64, error)
	// Bulk writes transactions, awards with their postings, and the outbox.
	Bulk(ctx context.Context, tx Tx, b *Bulk) error
	// Awards streams a red packet's awards by share on a snapshot.
	Awards(ctx context.Context, tx Tx, k int64, fn func(*ledger.Award) error) error
	Close() error
}

// Bulk is what the hot path writes.
type Bulk struct {
	Txns     []Txn
	Awards   []Award
	Postings []Posting // besides those of the awards
	Outbox   []Ref     // besides the awards'
}

// Txn is a row of the table of transactions.
type Txn struct {
	ID       int64
	At       int64
	Op       string
	Key      posting.Key
	From, To ledger.Position
}

// Award is a row of the table of awards; its two postings and its outbox row
// follow from it.
type Award struct {
	K, Bucket, Txn int64
	*ledger.Win
}

// Posting is one leg of an entry.
type Posting struct {
	Account int64
	Entry   ledger.Entry
	Amount  int64
	Txn     int64
}

// Ref names a pay-out.
type Ref struct {
	K     int64
	Entry ledger.Entry
}

// AccountOf is the number of a red packet's account.
func AccountOf(k int64, a ledger.Account) int64 { return k*ledger.Accounts + int64(a) }

// Move adds one entry: two postings that sum to zero.
func (b *Bulk) Move(txn, k int64, e ledger.Entry, from, to ledger.Account, amount int64) {
	if amount != 0 {
		b.Postings = append(b.Postings,
			Posting{AccountOf(k, from), e, -amount, txn},
			Posting{AccountOf(k, to), e, amount, txn})
	}
}

// Store is a ledger.Store on a Dialect.
type Store struct {
	d   Dialect
	now func() time.Time
}

var _ ledger.Store = (*Store)(nil)

// New makes a store. The dialect's schema is there.
func New(d Dialect, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{d: d, now: now}
}

// Close ends the dialect.
func (s *Store) Close() error { return s.d.Close() }

func (s *Store) ms() int64 { return posting.Ms(s.now()) }

// txn opens a transaction row outside of settle.
func (s *Store) txn(ctx context.Context, tx Tx, b *Bulk, op string) (int64, error) {
	ids, err := s.d.NextTxns(ctx, tx, 1)
	if err != nil {
		return 0, err
	}
	b.Txns = append(b.Txns, Txn{ID: ids[0], At: s.ms(), Op: op})
	return ids[0], nil
}

// row scans the only row of a query; found is false when there is none.
func row(ctx context.Context, tx Tx, dest []any, q string, args ...any) (found bool, err error) {
	rows, err := tx.Query(ctx, q, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	rows.Close()
	return true, rows.Err()
}

// scan calls fn for every row of a query, after dest is filled.
func scan(ctx context.Context, tx Tx, dest []any, fn func() error, q string, args ...any) error {
	rows, err := tx.Query(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func stop(err error) error {
	if err == ledger.Stop {
		return nil
	}
	return err
}
