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
