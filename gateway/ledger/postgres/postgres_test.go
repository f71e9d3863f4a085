package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/ledgertest"
	"sluice/gateway/ledger/postgres"
	"sluice/internal/servers"
)

// databases makes databases on one server: starting one for each case would
// take most of the time.
func databases(t *testing.T) func(t *testing.T) string {
	dsn := servers.Postgres(t)
	var n atomic.Int64
	return func(t *testing.T) string {
		t.Helper()
		ctx := context.Background()
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		name := fmt.Sprintf("ledger%d", n.Add(1))
		if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		return u.String()
	}
}

func open(t *testing.T, dsn string, now func() time.Time) ledger.Store {
	t.Helper()
	l, err := postgres.Open(context.Background(), postgres.Options{URL: dsn, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedger(t *testing.T) {
	database := databases(t)
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store { return open(t, database(t), now) })
}
