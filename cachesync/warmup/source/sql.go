package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Dialect is what a database calls things.
type Dialect string

// Dialects.
const (
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
	SQLite   Dialect = "sqlite"
)

// Table reads rows of an SQL table or view page by page, by keyset paging: each
// page begins behind the last row of the one before, by (Order, Key).
type Table struct {
	DB       *sql.DB // the caller closes it
	Dialect  Dialect
	Table    string        // name, also schema.name
	Columns  []string      // Key, Order and Since are read anyway; none means all there are
	Key      string        // unique, not null
	Order    string        // most active first: greatest value first; "" means by Key alone; must have no NULLs
	Where    string        // further SQL condition, from the operator, not from users
	Since    string        // column that tells when a row changed; with SinceAt only rows changed since
	SinceAt  time.Time     // zero value means all rows
	PageSize int           // zero value means 5000
	Timeout  time.Duration // of one page; zero value means 30 s

	found []string // all columns, when Columns names none
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// Check tells what is wrong with the description.
func (t *Table) Check() error {
	if t.Dialect != Postgres && t.Dialect != MySQL && t.Dialect != SQLite {
		return fmt.Errorf("unknown database %q: postgres, mysql or sqlite", t.Dialect)
	}
	if t.Key == "" {
		return errors.New("a table needs --key-column, a unique column to page by")
	}
	names := append([]string{t.Table, t.Key}, t.Columns...)
	if t.Order != "" {
		names = append(names, t.Order)
	}
	if t.Since != "" {
		names = append(names, t.Since)
	}
	for _, n := range names {
		if !identifier.MatchString(n) {
			return fmt.Errorf("%q is not a plain SQL name; use a view for anything else", n)
		}
	}
	if !t.SinceAt.IsZero() && t.Since == "" {
		return errors.New("--since needs --since-column, which tells when a row changed")
	}
	return nil
}

// Name is the table, and which of its rows.
func (t *Table) Name() string {
	s := string(t.Dialect) + " table " + t.Table
	if t.Where != "" {
		s += " where " + t.Where
	}
	if !t.SinceAt.IsZero() {
		s += ", changes only"
	}
	return s
}

// Repeatable is true.
func (t *Table) Repeatable() bool { return true }

func (t *Table) quote(name string) string {
	q := `"`
	if t.Dialect == MySQL {
		q = "`"
	}
	return q + strings.ReplaceAll(name, ".", q+"."+q) + q
}

// columns are what a page selects: Key first, Order second, then the others.
func (t *Table) columns() []string {
	cols := []string{t.Key}
	more := t.Columns
	if len(more) == 0 {
		more = t.found
	}
	for _, c := range append([]string{t.Order, t.Since}, more...) {
		if c != "" && !slices.Contains(cols, c) {
			cols = append(cols, c)
		}
	}
	return cols
}

// args numbers the placeholders as the database wants them.
type args struct {
	dialect Dialect
	values  []any
}

func (a *args) add(v any) string {
	a.values = append(a.values, v)
	if a.dialect == Postgres {
		return "$" + strconv.Itoa(len(a.values))
	}
	return "?"
}

func (t *Table) conditions(a *args) []string {
	var where []string
	if t.Where != "" {
		where = append(where, "("+t.Where+")")
	}
	if !t.SinceAt.IsZero() {
		var since any = t.SinceAt.UTC()
		if t.Dialect == SQLite { // which keeps times as text
			since = t.SinceAt.UTC().Format("2006-01-02 15:04:05.999999999")
		}
		where = append(where, t.quote(t.Since)+" >= "+a.add(since))
	}
	return where
}

// page is the query behind pos: rows after (order, key), the greatest order
// first, and of equal ones the smallest key first.
func (t *Table) page(pos Position) (string, []any, error) {
	a := &args{dialect: t.Dialect}
	where := t.conditions(a)
	key, order := t.quote(t.Key), ""
	if t.Order != "" {
		order = t.quote(t.Order)
	}
	if len(pos.Keys) > 0 {
		last, err := decodeKeys(pos.Keys)
		if err != nil || len(last) != 2 && order != "" || len(last) == 0 {
			return "", nil, fmt.Errorf("saved position %q does not fit the query; start over with --restart", pos.Keys)
		}
		if order == "" {
			where = append(where, key+" > "+a.add(last[0]))
		} else {
			before := order + " < " + a.add(last[1])
			where = append(where, "("+before+" OR ("+order+" = "+a.add(last[1])+" AND "+key+" > "+a.add(last[0])+"))")
		}
	}
	var cols []string
	for _, c := range t.columns() {
		cols = append(cols, t.quote(c))
	}
	q := "SELECT " + strings.Join(cols, ", ") + " FROM " + t.quote(t.Table)
	if len(where) > 0 {
		q += " WHERE " + strings.Join(where, " AND ")
	}
	q += " ORDER BY "
	if order != "" && t.Order != t.Key {
		q += order + " DESC, "
	}
	return q + key + " ASC LIMIT " + strconv.Itoa(t.pageSize()), a.values, nil
}

func (t *Table) pageSize() int {
	if t.PageSize > 0 {
		return t.PageSize
	}
	return 5000
}

func (t *Table) timeout() time.Duration {
	if t.Timeout > 0 {
		return t.Timeout
	}
	return 30 * time.Second
}

// Size counts the rows.
func (t *Table) Size(ctx context.Context) (Size, error) {
	a := &args{dialect: t.Dialect}
	where := t.conditions(a)
	n, err := t.count(ctx, where, a.values)
	return Size{Rows: n, Units: n, MayBeEmpty: !t.SinceAt.IsZero()}, err
}

func (t *Table) count(ctx context.Context, where []string, values []any) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*t.timeout())
	defer cancel()
	q := "SELECT count(*) FROM " + t.quote(t.Table)
	if len(where) > 0 {
		q += " WHERE " + strings.Join(where, " AND ")
	}
	if err := t.DB.QueryRowContext(ctx, q, values...).Scan(&n); err != nil {
		return 0, &Error{File: t.Name(), Err: fmt.Errorf("%s: %w", q, err)}
	}
	return n, nil
}

// Open goes on behind pos.Keys. Rows whose order is NULL would never be paged
// to, so they are refused rather than skipped.
func (t *Table) Open(ctx context.Context, pos Position) (Reader, error) {
	if err := t.Check(); err != nil {
		return nil, &Error{File: t.Name(), Err: err}
	}
	if err := t.discover(ctx); err != nil {
		return nil, &Error{File: t.Name(), Err: err}
	}
	null := []string{t.Key}
	if t.Order != "" {
		null = append(null, t.Order)
	}
	for _, col := range null {
		a := &args{dialect: t.Dialect}
		n, err := t.count(ctx, append(t.conditions(a), t.quote(col)+" IS NULL"), a.values)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, &Error{File: t.Name(), Err: fmt.Errorf("%d rows have no %s and would be skipped", n, col), Hint: "use a view with coalesce, or --where"}
		}
	}
	return &tableReader{t: t, ctx: ctx, pos: pos}, nil
}

// discover asks for the names of all columns, when none were named.
func (t *Table) discover(ctx context.Context) error {
	if len(t.Columns) > 0 || t.found != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	rows, err := t.DB.QueryContext(ctx, "SELECT * FROM "+t.quote(t.Table)+" WHERE 1 = 0")
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for _, n := range names {
		if !identifier.MatchString(n) {
			return fmt.Errorf("column %q has no plain name; list the columns to read with --columns", n)
		}
	}
	t.found = names
	return rows.Err()
}

type tableReader struct {
	t    *Table
	ctx  context.Context
	pos  Position
	rows [][]any
	at   int
	last bool // the page is the last one
	row  Row
	buf  []byte
}

func (r *tableReader) Next() (*Row, error) {
	if r.at == len(r.rows) {
		if r.last {
			return nil, io.EOF
		}
		if err := r.read(); err != nil {
			return nil, &Error{File: r.t.Name(), Line: r.pos.Row, Err: err}
		}
		if len(r.rows) == 0 {
			return nil, io.EOF
		}
	}
	values := r.rows[r.at]
	r.at++
	r.pos.Row++
	keys := values[:1]
	if r.t.Order != "" {
		k := slices.Index(r.t.columns(), r.t.Order)
		keys = []any{values[0], values[k]}
	}
	r.pos.Keys = encodeKeys(keys)
	r.row = Row{File: r.t.Name(), Line: r.pos.Row, Fields: r.row.Fields[:0]}
	r.buf = r.buf[:0]
	for i, name := range r.t.columns() {
		f, ok := r.field(name, values[i])
		if !ok {
			return nil, badRow(r.t.Name(), r.pos.Row, nil, "column %s is not valid UTF-8", name)
		}
		r.row.Fields = append(r.row.Fields, f)
	}
	return &r.row, nil
}

func (r *tableReader) read() error {
	q, values, err := r.t.page(r.pos)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.t.timeout())
	defer cancel()
	rows, err := r.t.DB.QueryContext(ctx, q, values...)
	if err != nil {
		return fmt.Errorf("%s: %w", q, err)
	}
	defer rows.Close()
	n := len(r.t.columns())
	r.rows, r.at = r.rows[:0], 0
	for rows.Next() {
		vals := make([]any, n)
		dest := make([]any, n)
		for i := range vals {
			dest[i] = &vals[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		r.rows = append(r.rows, vals)
	}
	r.last = len(r.rows) < r.t.pageSize()
	return rows.Err()
}

// field writes a driver's value as text. buf may move: texts cut from the old
// one stay good.
func (r *tableReader) field(name string, v any) (Field, bool) {
	f, start := Field{Name: name, Kind: Number}, len(r.buf)
	switch v := v.(type) {
	case nil:
		f.Kind = Null
	case int64:
		r.buf = strconv.AppendInt(r.buf, v, 10)
	case float64:
		r.buf = strconv.AppendFloat(r.buf, v, 'g', -1, 64)
	case bool:
		f.Kind = Bool
		r.buf = strconv.AppendBool(r.buf, v)
	case time.Time:
		f.Kind = String
		r.buf = v.UTC().AppendFormat(r.buf, time.RFC3339Nano)
	case []byte:
		f.Kind = String
		r.buf = append(r.buf, v...)
	case string:
		f.Kind = String
		r.buf = append(r.buf, v...)
	default:
		f.Kind = String
		r.buf = fmt.Append(r.buf, v)
	}
	f.Text = r.buf[start:len(r.buf):len(r.buf)]
	return f, utf8.Valid(f.Text)
}

func (r *tableReader) Position() Position { return r.pos }
func (r *tableReader) Done() int64        { return r.pos.Row }
func (r *tableReader) Close() error       { return nil }

// encodeKeys writes typed values as text: a position outlives the process.
func encodeKeys(values []any) []string {
	keys := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case int64:
			keys[i] = "i" + strconv.FormatInt(v, 10)
		case float64:
			keys[i] = "f" + strconv.FormatFloat(v, 'g', -1, 64)
		case time.Time:
			keys[i] = "t" + v.Format(time.RFC3339Nano)
		case []byte:
			keys[i] = "s" + string(v)
		default:
			keys[i] = "s" + fmt.Sprint(v)
		}
	}
	return keys
}

func decodeKeys(keys []string) ([]any, error) {
	values := make([]any, len(keys))
	for i, k := range keys {
		if k == "" {
			return nil, errors.New("empty key")
		}
		var err error
		switch k[0] {
		case 'i':
			values[i], err = strconv.ParseInt(k[1:], 10, 64)
		case 'f':
			values[i], err = strconv.ParseFloat(k[1:], 64)
		case 't':
			values[i], err = time.Parse(time.RFC3339Nano, k[1:])
		case 's':
			values[i] = k[1:]
		default:
			err = fmt.Errorf("key %q of unknown type", k)
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}
