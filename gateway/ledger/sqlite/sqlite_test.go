package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/ledgertest"
	"sluice/gateway/ledger/sqlite"
)

func open(t *testing.T, path string, now func() time.Time) ledger.Store {
	t.Helper()
	l, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		return open(t, filepath.Join(t.TempDir(), "ledger.db"), now)
	})
}
