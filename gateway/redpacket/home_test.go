package redpacket

import (
	"context"
	"errors"
	"testing"

	"sluice/cachesync"
)

func TestTheCacheTellsNoWinThatTheLedgerDoesNotHave(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		if out := w.draw(id, "a"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		// The record is in the cache already, the win not in the ledger yet.
		w.cache.wins[cachesync.WinKey(id.String(), "a")] = "0,500,1"
		behind := errors.New("the ledger is behind")
		w.desk.Confirm = func(context.Context, Position) error { return behind }
		seen, err := w.desk.Look(ctx, id, "a")
		w.must(err)
		if out, ok := seen.Decide(); ok {
			t.Errorf("the cache said %+v", out)
		}
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "a"}); !errors.Is(err, behind) {
			t.Errorf("%+v, %v", out, err)
		}
		w.desk.Confirm = func(context.Context, Position) error { return nil }
		if out := w.draw(id, "a"); out.Kind != Already {
			t.Errorf("%+v", out)
		}
	})
}
