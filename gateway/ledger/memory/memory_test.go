package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/ledgertest"
	"sluice/gateway/ledger/memory"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T, now func() time.Time) ledger.Store {
		return memory.New(memory.Options{Now: now})
	})
}

func TestHookBeforeStoresNothingAndAfterLosesTheReply(t *testing.T) {
	ctx := context.Background()
	crash := errors.New("crash")
	at := ""
	l := memory.New(memory.Options{Hook: func(p string) error {
		if p == at {
			return crash
		}
		return nil
	}})
	r := ledger.RedPacket{ID: "a", Sender: "s", Amount: 100, Count: 1, State: ledger.Funded}
	at = "fund:before"
	if _, _, err := l.PutRedPacket(ctx, r); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	if _, err := l.RedPacket(ctx, "a"); !errors.Is(err, ledger.ErrNotFound) {
		t.Fatal(err)
	}
	at = "fund:after"
	if _, _, err := l.PutRedPacket(ctx, r); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	at = ""
	if _, created, err := l.PutRedPacket(ctx, r); err != nil || created {
		t.Fatal(created, err)
	}
}
