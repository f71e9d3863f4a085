package source

import (
	"database/sql"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// OpenDB opens a database to read tables from. MySQL's sessions run in UTC and
// give times as times, whatever the DSN says: a timestamp compared or read in
// the server's own zone would be hours off.
func OpenDB(d Dialect, dsn string) (*sql.DB, error) {
	switch d {
	case Postgres:
		return sql.Open("pgx", dsn)
	case SQLite:
		return sql.Open("sqlite", dsn)
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ParseTime, cfg.Loc = true, time.UTC
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["time_zone"] = "'+00:00'"
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}
