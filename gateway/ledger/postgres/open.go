package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of a PostgreSQL ledger.
type Options struct {
	URL      string           // postgres://user@host/database or key=value words; pool_max_conns in it wins over MaxConns
	Now      func() time.Time // nil: time.Now
	MaxConns int32            // zero means 8
}

// Open connects and brings the schema up to date. Close the store when done.
func Open(ctx context.Context, o Options) (ledger.Store, error) {
	c, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("ledger: PostgreSQL address: %w", err)
	}
	if !strings.Contains(o.URL, "pool_max_conns") {
		c.MaxConns = o.MaxConns
		if c.MaxConns == 0 {
			c.MaxConns = 8
		}
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("ledger: connect to PostgreSQL: %w", err)
	}
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("ledger: PostgreSQL schema: %w", err)
	}
	return sqlstore.New(&dialect{pool: pool}, o.Now), nil
}

// migrationLock is the number of the advisory lock: "sluiceld" in ASCII.
const migrationLock = 0x736c756963656c64

// migrate applies what the database has not yet, each step once, also when
// several processes start together.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS ledger_migration (version bigint PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM ledger_migration`).Scan(&have); err != nil {
			return err
		}
		files, err := fs.Glob(migrations, "migrations/*.sql")
		if err != nil {
			return err
		}
		if have > len(files) {
			return fmt.Errorf("the database is at version %d, this program knows %d: use the newer program", have, len(files))
		}
		for i, name := range files[have:] {
			text, err := migrations.ReadFile(name)
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(name, "migrations/")
			if _, err := tx.Exec(ctx, string(text)); err != nil { // several statements: the simple protocol
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO ledger_migration (version, name) VALUES ($1, $2)`, have+i+1, name); err != nil {
				return err
			}
		}
		return nil
	})
}
