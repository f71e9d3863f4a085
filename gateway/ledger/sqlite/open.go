package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers "sqlite"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of a SQLite ledger.
type Options struct {
	Path    string           // of the file; its folder is made. Beside it lie -wal and -shm
	Now     func() time.Time // nil: time.Now
	Readers int              // connections for reading; zero means 4
	CacheMB int              // page cache of the writer; zero means 64
}

// Open opens or makes the ledger and brings its schema up to date. Close the
// store when done.
func Open(ctx context.Context, o Options) (ledger.Store, error) {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.CacheMB == 0 {
		o.CacheMB = 64
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", o.Path, err)
	}
	d, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", o.Path, err)
	}
	return sqlstore.New(d, o.Now), nil
}

func dsn(path string, cacheMB int, more ...string) string {
	q := url.Values{}
	for _, p := range append([]string{
		"busy_timeout(20000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"temp_store(MEMORY)",
		"wal_autocheckpoint(8000)",
		fmt.Sprintf("cache_size(-%d)", cacheMB<<10),
	}, more...) {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func open(ctx context.Context, o Options) (*dialect, error) {
	wdb, err := sql.Open("sqlite", dsn(o.Path, o.CacheMB))
	if err != nil {
		return nil, err
	}
	d := &dialect{wdb: wdb, ops: make(chan *op, 256), quit: make(chan struct{}), done: make(chan struct{}), readers: make(chan *tx, o.Readers)}
	if d.w, err = pin(ctx, wdb); err == nil {
		err = d.w.migrate(ctx)
	}
	if err != nil {
		wdb.Close()
		return nil, err
	}
	if d.rdb, err = sql.Open("sqlite", dsn(o.Path, 8, "query_only(1)")); err != nil {
		wdb.Close()
		return nil, err
	}
	for range o.Readers {
		r, err := pin(ctx, d.rdb)
		if err != nil {
			wdb.Close()
			d.rdb.Close()
			return nil, err
		}
		d.readers <- r
	}
	go d.run()
	return d, nil
}

// migrate applies what the file has not yet, each step once, also when several
// processes start together.
func (t *tx) migrate(ctx context.Context) error {
	if _, err := t.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := t.steps(ctx)
	if err != nil {
		_, _ = t.conn.ExecContext(ctx, "ROLLBACK")
		return err
	}
	_, err = t.conn.ExecContext(ctx, "COMMIT")
	return err
}

func (t *tx) steps(ctx context.Context) error {
	var have int
	if err := t.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("its schema is version %d, this program knows %d: use the newer program", have, len(files))
	}
	for i, name := range files[have:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := t.conn.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "migrations/"), err)
		}
		if _, err := t.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", have+i+1)); err != nil {
			return err
		}
	}
	return nil
}
