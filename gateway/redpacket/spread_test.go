package redpacket

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/gateway/ledger"
)

const spread4 = `{"amount":20000,"count":40,"parts":4}`

// drawAll draws for everybody, settling on the way, until each has an answer.
func (w *world) drawAll(id ID, users int) (won map[string]Outcome) {
	w.t.Helper()
	won = map[string]Outcome{}
	shares := map[int64]string{}
	for i := range users {
		uid := uidOf(i)
		out := w.eventually(id, uid)
		switch out.Kind {
		case Won, Already:
			if other, ok := shares[out.Share]; ok {
				w.t.Fatalf("share %d went to %s and %s", out.Share, other, uid)
			}
			won[uid], shares[out.Share] = out, uid
		case SoldOut:
		default:
			w.t.Fatalf("%s: %+v", uid, out)
		}
	}
	return won
}

// eventually draws, and lets the roles work when the answer is "later".
func (w *world) eventually(id ID, uid string) Outcome {
	w.t.Helper()
	var err error
	for range 20 {
		var out Outcome
		out, err = w.desk.Draw(context.Background(), DrawRequest{ID: id, UID: uid})
		var later *LaterError
		if err == nil {
			return out
		} else if !errors.As(err, &later) {
			break
		}
		w.settle()
	}
	w.t.Fatalf("%s: %v", uid, err)
	return Outcome{}
}

// fast makes waiting cheap: the clock of the house goes on instead.
func (w *world) fast() {
	var ahead time.Duration
	w.house.now = func() time.Time { return time.Now().Add(ahead) }
	w.house.sleep = func(ctx context.Context, d time.Duration) error { ahead += d; return ctx.Err() }
}

func (w *world) closeAll(id ID) {
	w.t.Helper()
	for range 6 {
		w.closer.filterAt = time.Time{}
		w.must(w.closer.Step(context.Background()))
		w.settle()
	}
}

func TestSpreadGivesEveryShareOnceBeforeAnybodyHearsSoldOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.fast()
		id := w.fund(spread4)
		w.clean(id)
		won := w.drawAll(id, 60) // 40 shares, parts of 10: some parts must borrow
		if len(won) != 40 {
			t.Fatalf("%d of 40 shares were won", len(won))
		}
		w.settle()
		r := w.clean(id)
		if r.Awards != 40 || r.Payable != 20000 || r.Left != 0 {
			t.Fatalf("%v", r)
		}
		for uid, first := range won {
			if out := w.draw(id, uid); out.Kind != Already || out.Share != first.Share || out.Amount != first.Amount {
				t.Fatalf("%s: %+v, first %+v", uid, out, first)
			}
		}
		st, err := w.desk.Show(ctx, id)
		if err != nil || st.State != StateSoldOut || st.Left != 0 || st.LeftAmount != 0 {
			t.Fatalf("%+v, %v", st, err)
		}
		moves, err := w.ledger.Moves(ctx, id.String())
		if err != nil || len(moves) == 0 {
			t.Fatalf("nobody borrowed: %v, %v", moves, err)
		}
		// The filter of winners knows those of all parts.
		w.closer.filterAt = time.Time{}
		w.must(w.closer.Step(ctx))
		silent := 0
		for i := range 100 {
			seen, err := lookAt(w.desk, ctx, id, fmt.Sprint("loser", i))
			w.must(err)
			if out, ok := seen.Decide(); ok && out.Kind == SoldOut {
				silent++
			}
		}
		if silent < 80 {
			t.Errorf("only %d of 100 losers were answered by the filter", silent)
		}
		for uid := range won {
			if out := w.draw(id, uid); out.Kind != Already {
				t.Fatalf("%s: %+v", uid, out)
			}
		}
		listed := map[string]bool{}
		for page := ""; ; {
			p, err := w.desk.Winners(ctx, id, page)
			w.must(err)
			for _, one := range p.Winners {
				if listed[one.UID] || won[one.UID].Share != one.Share || won[one.UID].Amount != one.Amount {
					t.Fatalf("%+v, won %+v", one, won[one.UID])
				}
				listed[one.UID] = true
			}
			if page = p.Next; page == "" {
				break
			}
		}
		if len(listed) != 40 {
			t.Fatalf("%d winners are listed", len(listed))
		}
		w.closeAllByCommand(id)
		w.clean(id)
	})
}

func (w *world) closeAllByCommand(id ID) {
	w.t.Helper()
	ctx := context.Background()
	_, err := w.desk.Close(ctx, id, "")
	w.must(err)
	w.closeAll(id)
	row, err := w.ledger.RedPacket(ctx, id.String())
	if err != nil || row.State != "closed" && row.State != "refunded" {
		w.t.Fatalf("%s, %v", row.State, err)
	}
}

func TestSpreadClosesInAllPartsAndRefundsOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.fast()
		id := w.fund(spread4)
		var won int64
		for i := range 9 {
			won += w.draw(id, uidOf(i)).Amount
		}
		if _, err := w.desk.Close(ctx, id, "somebody"); !errors.Is(err, ErrSender) {
			t.Fatal(err)
		}
		for range 2 {
			st, err := w.desk.Close(ctx, id, "sender")
			if err != nil || st.State != StateClosed || st.Seed != "" || st.LeftAmount != 20000-won {
				t.Fatalf("%+v, %v", st, err)
			}
		}
		for i := range 60 {
			out := w.draw(id, uidOf(i))
			if i < 9 && out.Kind != Already || i >= 9 && out.Kind != Closed {
				t.Fatalf("%d: %+v", i, out)
			}
		}
		w.settle()
		w.clean(id)
		w.closeAll(id)
		st, err := w.desk.Show(ctx, id)
		if err != nil || st.State != StateClosed || len(st.Seed) != 64 || st.Left != 31 || st.LeftAmount != 20000-won {
			t.Fatalf("%+v, %v", st, err)
		}
		r := w.clean(id)
		if r.Refunding != 20000-won || r.Payable != won || r.Left != 0 || r.Unsettled != 0 {
			t.Fatalf("%v", r)
		}
		if v, err := Verify(ctx, w.ledger, id); err != nil || v.Checked != 9 {
			t.Fatalf("%+v, %v", v, err)
		}
		// Old enough, it is forgotten with all its parts.
		now := time.Now().Add(100 * time.Hour)
		w.house.now = func() time.Time { return now }
		w.closer.forgetAt = time.Time{}
		w.must(w.closer.Step(ctx))
	})
}

// Where the ledger is waited for, the close of a spread red packet is told when the ledger has the
// closes of all parts, not when the parts are fenced.
func TestACloseOfASpreadRedPacketIsToldWhenTheLedgerHasIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(spread4)
		won := w.draw(id, "a").Amount
		w.desk.ConfirmClose = func(context.Context, ID) error { return errors.New("the ledger is away") }
		var later *LaterError
		if _, err := w.desk.Close(ctx, id, ""); !errors.As(err, &later) {
			t.Fatal(err)
		}
		if err := drawErr(w, id, "b"); err != nil {
			t.Fatal(err)
		}
		row, err := w.ledger.RedPacket(ctx, id.String())
		if err != nil || row.State != ledger.Funded {
			t.Fatalf("%s, %v", row.State, err)
		}
		stop := w.run(true)
		defer stop()
		w.desk.ConfirmClose = w.closer.Finish
		for range 2 { // and whoever asks again hears the same
			var st State
			for st, err = w.desk.Close(ctx, id, ""); errors.As(err, &later); st, err = w.desk.Close(ctx, id, "") {
			}
			if err != nil || st.State != StateClosed || st.LeftAmount != 20000-won || len(st.Seed) != 64 {
				t.Fatalf("%+v, %v", st, err)
			}
			if row, err := w.ledger.RedPacket(ctx, id.String()); err != nil || row.State != ledger.Closed {
				t.Fatalf("told, and the ledger says %s, %v", row.State, err)
			}
		}
		if r := w.clean(id); r.Refunding != 20000-won || r.Unsettled != 0 || r.Left != 0 {
			t.Fatalf("%v", r)
		}
	})
}

func TestSpreadKeepsListAndPasswordInEachPart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":4000,"count":8,"parts":3,"password":"open","audience":"list","list":["a","b","c","d","e"]}`)
		for _, uid := range []string{"a", "b", "c", "d", "e"} {
			out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid, Password: "wrong"})
			if err != nil || out.Kind != Denied || out.Reason != "password" || out.Left != 4 {
				t.Fatalf("%+v, %v", out, err)
			}
			if out, err = w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid, Password: "open"}); err != nil || out.Kind != Won {
				t.Fatalf("%s: %+v, %v", uid, out, err)
			}
		}
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "f", Password: "open"}); err != nil || out.Reason != "list" {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

func TestSpreadIsDecidedByTheHouseOrTheRequest(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), false)
	w.must(w.certifier.Step(context.Background()))
	w.desk.SpreadAbove, w.desk.SpreadParts = 10, 5
	f := func(body string, parts int) {
		t.Helper()
		if n, err := w.house.partsOf(context.Background(), w.fund(body)); err != nil || n != parts {
			t.Errorf("%s: %d parts, %v; want %d", body, n, err, parts)
		}
	}
	f(`{"amount":1000,"count":10}`, 1)
	f(`{"amount":1100,"count":11}`, 5)
	f(`{"amount":1100,"count":11,"parts":1}`, 1)
	f(`{"amount":1000,"count":10,"parts":3}`, 3)
	f(`{"amount":6400,"count":64,"parts":64}`, 64)
	bad := func(body, field, code string) {
		t.Helper()
		var fe *FieldError
		if _, err := ParseFund([]byte(body)); !errors.As(err, &fe) || fe.Field != field || fe.Code != code {
			t.Errorf("%s: %v", body, err)
		}
	}
	bad(`{"amount":1000,"count":10,"parts":0}`, "parts", CodeTooSmall)
	bad(`{"amount":6500,"count":65,"parts":65}`, "parts", CodeTooLarge)
	bad(`{"amount":1000,"count":10,"parts":11}`, "parts", CodeTooLarge)
	bad(`{"amount":1000,"count":10,"parts":"2"}`, "parts", CodeNotInteger)
	bad(`{"amount":300,"count":1,"mode":"portal","parts":2,"prizes":[{"name":"a","amount":300,"count":1,"chance_ppm":1}]}`, "parts", CodeInfeasible)
}
