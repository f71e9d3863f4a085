package memory_test

import (
	"context"
	"errors"
	"testing"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
)

// settled funds 300 fen, posts one win of 100 and a close that returns 200,
// again after a crash at the given point, and gives the sums.
func settled(t *testing.T, bugs memory.Bugs, crashAt string) ledger.Sums {
	t.Helper()
	ctx := context.Background()
	crash := errors.New("crash")
	l := memory.New(memory.Options{Bugs: bugs, Hook: func(p string) error {
		if p == crashAt {
			crashAt = ""
			return crash
		}
		return nil
	}})
	if _, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "a", Sender: "s", Amount: 300, Count: 3, State: ledger.Funded}); err != nil {
		t.Fatal(err)
	}
	b := ledger.Batch{To: ledger.Position{Epoch: 1, Seq: 2}, Wins: []ledger.Win{{RedPacket: "a", UID: "u", N: "1", Amount: 100, Epoch: 1, Seq: 1}},
		Closes: []ledger.Close{{RedPacket: "a", Left: 200, LeftShares: 2, Epoch: 1, Seq: 2}}}
	for range 3 {
		if err := l.Settle(ctx, []ledger.Batch{b}); err != nil && !errors.Is(err, crash) && len(ledger.FreezeErrors(err)) == 0 {
			t.Fatal(err)
		}
	}
	s, err := l.Reconcile(ctx, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWithoutBugsACrashChangesNothing(t *testing.T) {
	for _, at := range []string{"", "settle:before", "settle:after"} {
		if s := settled(t, memory.Bugs{}, at); s.Payable != 100 || s.Refunding != 200 || s.Balance != 0 {
			t.Errorf("crash at %q: %+v", at, s)
		}
	}
}

// The faults must be visible, or the simulator that puts them in proves nothing.
func TestBugsShowInTheSums(t *testing.T) {
	if s := settled(t, memory.Bugs{RefundTwice: true}, ""); s.Refunding != 400 || s.Balance != -200 {
		t.Errorf("refund twice: %+v", s)
	}
	s := settled(t, memory.Bugs{PositionApart: true}, "settle-position:before")
	if s.Payable == 100 && s.Refunding == 200 && s.Positions[0].Frozen == nil {
		t.Errorf("position apart does not show: %+v", s)
	}
}
