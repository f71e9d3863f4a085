package redpacket

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

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
		seen, err := lookAt(w.desk, ctx, id, "a")
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

func TestAnAnswerWaitsForTheLedgerOnlySoLong(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), true)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	// Nobody settles or splits: a ledger that does not take anything.
	w.desk.Confirm, w.desk.ConfirmFund = w.settler.WaitSettled, w.splitter.WaitStored
	f := func(what string, call func() error) {
		done := make(chan error, 1)
		go func() { done <- call() }()
		select {
		case err := <-done:
			var later *LaterError
			if !errors.As(err, &later) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s waits for ever", what)
		}
	}
	f("draw", func() error {
		_, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "a"})
		return err
	})
	f("fund", func() error {
		req, _ := ParseFund([]byte(twenty))
		req.Sender = "sender"
		_, err := w.desk.Fund(ctx, req)
		return err
	})
	if n := len(w.settler.waiters[id.Bucket()]) + len(w.splitter.waiters); n != 0 {
		t.Errorf("%d waiters are left behind", n)
	}
	w.settle()
	if out := w.draw(id, "a"); out.Kind != Already {
		t.Errorf("%+v", out)
	}
}
