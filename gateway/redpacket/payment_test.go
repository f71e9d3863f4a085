package redpacket

import (
	"context"
	"testing"
	"time"

	"sluice/gateway/ledger"
)

// slowPayer is a provider whose money comes later, or never.
type slowPayer struct{ asked int }

func (*slowPayer) Name() string { return "slow" }
func (p *slowPayer) Ask(context.Context, ledger.Payment) (bool, error) {
	p.asked++
	return false, nil
}

func TestRedPacketOpensOnlyWhenPaidAndExpiresUnpaid(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.splitter.Provider = &slowPayer{}
		state := func(id ID, want string) {
			t.Helper()
			if st, err := w.desk.Show(ctx, id); err != nil || st.State != want {
				t.Fatalf("%s, %v; want %s", st.State, err, want)
			}
		}
		paid, never := w.fund(twenty), w.fund(twenty)
		state(paid, StateUnpaid)
		if out := w.draw(paid, "a"); out.Kind != NotOpen {
			t.Fatalf("%+v", out)
		}
		if _, err := w.ledger.ConfirmPayment(ctx, PaymentID(paid.String()), 9999, "r", time.Now()); err == nil {
			t.Fatal("another amount was taken")
		}
		if _, err := w.ledger.ConfirmPayment(ctx, PaymentID(paid.String()), 10000, "r", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.must(w.splitter.Step(ctx))
		state(paid, StateOpen)
		if out := w.draw(paid, "a"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		w.splitter.PayWithin = time.Nanosecond
		time.Sleep(2 * time.Millisecond)
		w.must(w.splitter.Step(ctx))
		state(never, StateExpired)
		if out := w.draw(never, "a"); out.Kind != Closed {
			t.Fatalf("%+v", out)
		}
		// Late money goes back to the sender; the red packet stays expired.
		p, err := w.ledger.ConfirmPayment(ctx, PaymentID(never.String()), 10000, "r", time.Now())
		if err != nil || p.State != ledger.PaymentLate {
			t.Fatalf("%+v, %v", p, err)
		}
		w.must(w.splitter.Step(ctx))
		state(never, StateExpired)
		w.settle()
		w.clean(paid)
	})
}

func (w *world) inRedis(id ID) bool {
	w.t.Helper()
	n, err := w.rdb.Exists(context.Background(), w.house.keys[id.Bucket()].rp(id.String())).Result()
	w.must(err)
	return n > 0
}

func TestARedPacketThatWasNeverPaidIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.splitter.Provider, w.splitter.PayWithin = &slowPayer{}, time.Nanosecond
		id := w.fund(`{"amount":1000,"count":4,"parts":2,"audience":"list","list":["a","b"]}`)
		time.Sleep(2 * time.Millisecond)
		w.must(w.splitter.Step(ctx))
		if st, err := w.desk.Show(ctx, id); err != nil || st.State != StateExpired {
			t.Fatalf("%+v, %v", st, err)
		}
		w.must(w.closer.Step(ctx))
		if !w.inRedis(id) {
			t.Fatal("forgotten before its time")
		}
		w.house.now = func() time.Time { return time.Now().Add(60 * time.Hour) }
		w.must(w.closer.Step(ctx))
		w.house.now = time.Now
		left, err := w.rdb.Keys(ctx, "*"+id.String()+"*").Result()
		if err != nil || len(left) > 0 {
			t.Fatalf("left in Redis: %v, %v", left, err)
		}
		if st, err := NewArchived(w.desk, w.ledger, w.ids).Show(ctx, id); err != nil || st.State != StateExpired {
			t.Fatalf("%+v, %v", st, err)
		}
	})
}

// A fund request that is repeated after its red packet was forgotten, with the same body or another,
// leaves nothing behind that hides what the ledger knows.
func TestARepeatedFundRequestDoesNotHideWhatIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		desk := NewArchived(w.desk, w.ledger, w.ids)
		fund := func(body string) ID {
			t.Helper()
			req, err := ParseFund([]byte(body))
			w.must(err)
			req.Sender, req.Key = "sender", "order-1"
			res, err := w.desk.Fund(ctx, req)
			w.must(err)
			w.must(w.splitter.Step(ctx))
			return res.ID
		}
		id := fund(twenty)
		won := w.draw(id, "a")
		w.forgotten(id)
		for _, body := range []string{twenty, `{"amount":4000,"count":8,"parts":2}`} {
			if again := fund(body); again != id {
				t.Fatalf("%s is not %s", again, id)
			}
			if w.inRedis(id) {
				t.Fatalf("%s left a shell in Redis", body)
			}
			if st, err := desk.Show(ctx, id); err != nil || st.State != StateClosed || st.Count != 20 {
				t.Fatalf("%+v, %v", st, err)
			}
			if out, err := desk.Draw(ctx, DrawRequest{ID: id, UID: "a"}); err != nil || out.Kind != Already || out.Amount != won.Amount {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		w.must(w.certifier.Step(ctx))
		if r := w.clean(id); r.Awards != 1 || r.Funded != 10000 {
			t.Fatalf("%v", r)
		}
	})
}
