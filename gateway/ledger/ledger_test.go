package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/gateway/ledger"
)

func FuzzPayoutKeyIsReadAsItWasMade(f *testing.F) {
	f.Add("rp123", 7, uint8(0))
	f.Add("a.b", 0, uint8(1))
	f.Add("x.w7", 1<<31-1, uint8(2))
	f.Fuzz(func(t *testing.T, id string, n int, kind uint8) {
		if id == "" || n < 0 || n > 1<<31-1 {
			return
		}
		e := []ledger.Entry{ledger.EntryWin(n), ledger.EntryClose(n), ledger.EntryRelease(n), ledger.EntryLate(n)}[kind%4]
		gotID, gotE, err := ledger.ParsePayoutKey(ledger.PayoutKey(id, e))
		if err != nil || gotID != id || gotE != e {
			t.Fatalf("%q %d: %q %d %v", id, e, gotID, gotE, err)
		}
	})
}

func FuzzParsePayoutKeyTakesOnlyWhatPayoutKeyMakes(f *testing.F) {
	for _, s := range []string{"rp.w7", "rp.w07", "rp.w", ".w1", "rp.z1", "rp.w-1", "rp.w99999999999", "rp", "", "rp.w+1", "rp.w0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		id, e, err := ledger.ParsePayoutKey(key)
		if err == nil && ledger.PayoutKey(id, e) != key {
			t.Fatalf("%q was read as %q", key, ledger.PayoutKey(id, e))
		}
	})
}

func TestEntriesOfDifferentEventsAreDifferent(t *testing.T) {
	seen := map[ledger.Entry]string{}
	put := func(name string, e ledger.Entry) {
		t.Helper()
		if other, ok := seen[e]; ok {
			t.Errorf("%s and %s are both entry %d", name, other, e)
		}
		seen[e] = name
	}
	put("fund", ledger.EntryFund())
	for i := range 3 {
		for name, e := range map[string]ledger.Entry{"win": ledger.EntryWin(i), "close": ledger.EntryClose(i), "hold": ledger.EntryHold(i),
			"release": ledger.EntryRelease(i), "award": ledger.EntryAward(i), "late": ledger.EntryLate(i), "correct": ledger.EntryCorrect(i)} {
			put(fmt.Sprint(name, i), e)
			if e.Index() != i {
				t.Errorf("%s: index %d", name, e.Index())
			}
		}
		for name, e := range map[string]ledger.Entry{"win": ledger.EntryWin(i), "close": ledger.EntryClose(i), "release": ledger.EntryRelease(i), "late": ledger.EntryLate(i)} {
			paid, _, _ := e.Paid()
			put(fmt.Sprint("paid ", name, i), paid)
		}
	}
}

func TestFreezeErrorsAreFoundInJoinedAndWrappedErrors(t *testing.T) {
	a, b := &ledger.FreezeError{Bucket: 1, Kind: ledger.FreezeShare}, &ledger.FreezeError{Bucket: 2}
	err := fmt.Errorf("settle: %w", errors.Join(a, errors.New("other"), fmt.Errorf("x: %w", b)))
	got := ledger.FreezeErrors(err)
	if len(got) != 2 || got[0] != a || got[1] != b {
		t.Fatal(got)
	}
	if ledger.FreezeErrors(nil) != nil || ledger.FreezeErrors(errors.New("x")) != nil {
		t.Fatal("found what is not there")
	}
}

func TestErrorsSayWhatWhereAndWhatToDo(t *testing.T) {
	e := &ledger.Error{Op: "fund", RedPacket: "rp1", Err: ledger.ErrConflict, Hint: "use another key"}
	if e.Error() != "ledger: fund rp1: known with other content (use another key)" || !errors.Is(e, ledger.ErrConflict) {
		t.Fatal(e)
	}
	f := &ledger.FreezeError{Home: 1, Bucket: 7, At: ledger.Position{Epoch: 2, Seq: 9}, Kind: ledger.FreezeUser, RedPacket: "rp1", Share: 3, UID: "u", Detail: "why"}
	for _, want := range []string{"bucket 7 of home 1", "2-9", "rp1", "share 3", `"u"`, "why", "sluice redpacket certify"} {
		if !strings.Contains(f.Error(), want) {
			t.Errorf("no %q in %s", want, f)
		}
	}
}

func TestSumsThatDoNotMeetAreUnbalanced(t *testing.T) {
	s := ledger.Sums{Funded: 100, Paid: 10, Payable: 20, Refunding: 5, Refunded: 5, Quarantined: 10, Suspense: 1, Balance: 49}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	s.Balance--
	if err := s.Check(); !errors.Is(err, ledger.ErrUnbalanced) {
		t.Fatal(err)
	}
}

func TestKindOfAPrize(t *testing.T) {
	for prize, want := range map[string]ledger.Kind{"": ledger.Wallet, "cash": ledger.Wallet, "coupon:tea:C1": ledger.Coupon} {
		if got := (&ledger.Win{Amount: 5, Prize: prize}).Kind(); got != want {
			t.Errorf("%q: %v", prize, got)
		}
	}
	if got := (&ledger.Win{Prize: "other:song"}).Kind(); got != ledger.Message {
		t.Error(got)
	}
}
