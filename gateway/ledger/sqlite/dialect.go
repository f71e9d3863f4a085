package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	driver "modernc.org/sqlite"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/sqlstore"
)

// dialect is SQLite behind sqlstore.
type dialect struct {
	wdb, rdb *sql.DB
	w        *tx // only run uses it
	readers  chan *tx
	ops      chan *op
	quit     chan struct{} // closed by Close
	done     chan struct{} // closed when run has ended
	once     sync.Once
}

// op is one call that waits for its commit.
type op struct {
	fn  func(sqlstore.Tx, int) error
	err error
	out chan error
}

// Write implements sqlstore.Dialect. Once queued, a call runs to its end: its
// caller's context only counts before.
func (d *dialect) Write(ctx context.Context, fn func(sqlstore.Tx, int) error) error {
	o := &op{fn: fn, out: make(chan error, 1)}
	select {
	case <-d.quit:
		return ledger.ErrClosed
	default:
	}
	select {
	case d.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.quit:
		return ledger.ErrClosed
	}
	select {
	case err := <-o.out:
		return err
	case <-d.done: // it may have been answered just before
		select {
		case err := <-o.out:
			return err
		default:
			return ledger.ErrClosed
		}
	}
}

// maxGroup bounds the calls that share a commit.
const maxGroup = 128

func (d *dialect) run() {
	defer close(d.done)
	group := make([]*op, 0, maxGroup)
	for {
		select {
		case <-d.quit:
			return
		case o := <-d.ops:
			group = append(group[:0], o)
		}
	more:
		for len(group) < maxGroup {
			select {
			case o := <-d.ops:
				group = append(group, o)
			default:
				break more
			}
		}
		d.commit(group)
	}
}

// commit runs a group in one transaction, or, when one of it fails, each under
// a savepoint of its own.
func (d *dialect) commit(group []*op) {
	err := d.together(group)
	if err != nil {
		err = d.apart(group)
	}
	for _, o := range group {
		if err != nil {
			o.err = err
		}
		o.out <- o.err
	}
}

func (d *dialect) together(group []*op) error {
	if err := d.w.plain("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range group {
		o.err = nil
		if err := o.fn(d.w, 1); err != nil {
			d.rollback()
			return err
		}
	}
	return d.end()
}

func (d *dialect) apart(group []*op) error {
	if err := d.w.plain("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range group {
		if err := d.w.plain("SAVEPOINT one"); err != nil {
			d.rollback()
			return err
		}
		if o.err = o.fn(d.w, 2); o.err != nil {
			if err := d.w.plain("ROLLBACK TO one"); err != nil {
				d.rollback()
				return err
			}
		}
		if err := d.w.plain("RELEASE one"); err != nil {
			d.rollback()
			return err
		}
	}
	return d.end()
}

func (d *dialect) end() error {
	err := d.w.plain("COMMIT")
	if err != nil {
		d.rollback()
		return fmt.Errorf("ledger: commit: %w", err)
	}
	return nil
}

// rollback may find that SQLite rolled back already (disk full, I/O error).
func (d *dialect) rollback() {
	var e *driver.Error
	if err := d.w.plain("ROLLBACK"); err != nil && !errors.As(err, &e) {
		return
	}
}

// Read implements sqlstore.Dialect.
func (d *dialect) Read(ctx context.Context, fn func(sqlstore.Tx) error) error {
	var r *tx
	select {
	case <-d.quit:
		return ledger.ErrClosed
	default:
	}
	select {
	case r = <-d.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.quit:
		return ledger.ErrClosed
	}
	defer func() { d.readers <- r }()
	if err := r.plain("BEGIN"); err != nil {
		return err
	}
	err := fn(r)
	if end := r.plain("ROLLBACK"); err == nil {
		err = end
	}
	return err
}

// Close implements sqlstore.Dialect: calls under way finish.
func (d *dialect) Close() error {
	var err error
	d.once.Do(func() {
		close(d.quit)
		<-d.done
		for range cap(d.readers) {
			(<-d.readers).close()
		}
		d.w.close()
		err = errors.Join(d.rdb.Close(), d.wdb.Close())
	})
	return err
}

func (d *dialect) Any(expr string, n int) string {
	return expr + " IN (SELECT value FROM json_each($" + strconv.Itoa(n) + "))"
}

func (d *dialect) Pairs(a, b string, n int, refs []sqlstore.Ref) (string, []any) {
	list := make([][2]int64, len(refs))
	for i, r := range refs {
		list[i] = [2]int64{r.K, int64(r.Entry)}
	}
	return "(" + a + ", " + b + ") IN (SELECT value ->> 0, value ->> 1 FROM json_each($" + strconv.Itoa(n) + "))", []any{marshal(list)}
}

func (d *dialect) Ints(list []int64) any     { return marshal(list) }
func (d *dialect) Strings(list []string) any { return marshal(list) }

func marshal(list any) string {
	doc, err := json.Marshal(list)
	if err != nil || string(doc) == "null" {
		return "[]"
	}
	return string(doc)
}

// Lock and Skip implement sqlstore.Dialect: there is one writer.
func (d *dialect) Lock() string { return "" }
func (d *dialect) Skip() string { return "" }

// NextTxns implements sqlstore.Dialect. The numbers are this transaction's,
// for it alone writes; unused ones are given again.
func (d *dialect) NextTxns(ctx context.Context, t sqlstore.Tx, n int) ([]int64, error) {
	r, err := t.Query(ctx, `SELECT COALESCE(max(id), 0) FROM txn`)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var last int64
	if r.Next() {
		if err := r.Scan(&last); err != nil {
			return nil, err
		}
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = last + int64(i) + 1
	}
	return ids, r.Err()
}
