package statement_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
	"sluice/gateway/ledger/statement"
)

var day = time.Date(2027, 2, 5, 0, 0, 0, 0, time.UTC)

// book has ten wins of 100 fen; share i is paid at day + i hours - 1 h, but 8
// is claimed only and 9 is queued.
func book(t *testing.T) ledger.Store {
	t.Helper()
	ctx := context.Background()
	l := memory.New(memory.Options{Now: func() time.Time { return day }})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "rp", Sender: "s", Amount: 1000, Count: 10, State: ledger.Unpaid})
	must(err)
	_, _, err = l.PutPayment(ctx, ledger.Payment{ID: "p1", RedPacket: "rp", Provider: "bank", Amount: 1000, AskedAt: day})
	must(err)
	_, err = l.ConfirmPayment(ctx, "p1", 1000, "B1", day.Add(time.Hour))
	must(err)
	b := ledger.Batch{From: ledger.Position{Epoch: 1}, To: ledger.Position{Epoch: 1, Seq: 10}}
	for i := range 10 {
		b.Wins = append(b.Wins, ledger.Win{RedPacket: "rp", Share: i, UID: fmt.Sprint("u", i), N: "1", Amount: 100, Epoch: 1, Seq: uint64(i + 1)})
	}
	must(l.Settle(ctx, []ledger.Batch{b}))
	_, err = l.Claim(ctx, 9, time.Minute)
	must(err)
	for i := range 8 {
		must(l.Done(ctx, []ledger.Outcome{{Key: fmt.Sprint("rp.w", i), At: day.Add(time.Duration(i-1) * time.Hour)}}))
	}
	return l
}

// compare runs a pay-out statement of shares 1 to 7 with changes.
func compare(t *testing.T, csv string) (string, statement.Report) {
	t.Helper()
	var got []string
	r, err := statement.Payouts(context.Background(), book(t), statement.Options{From: day, To: day.AddDate(0, 0, 1), Kinds: []ledger.Kind{ledger.Wallet}},
		strings.NewReader(csv), func(d statement.Difference) {
			got = append(got, fmt.Sprintf("%s %s %d/%d", d.Kind, d.Key, d.Statement, d.Ledger))
		})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, "; "), r
}

const good = "key,amount,reference\nrp.w1,100,a\nrp.w2,100,b\nrp.w3,100,c\nrp.w4,100,d\nrp.w5,100,e\nrp.w6,100,f\nrp.w7,100,g\n"

func TestStatementThatFitsIsClean(t *testing.T) {
	got, r := compare(t, good)
	if got != "" || !r.Clean() || r.Lines != 7 || r.Matched != 7 || r.Statement != 700 || r.Ledger != 700 {
		t.Fatal(got, r)
	}
}

func TestEveryKindOfDifferenceIsNamed(t *testing.T) {
	f := func(csv, want string) {
		t.Helper()
		if got, r := compare(t, csv); got != want || r.Clean() != (want == "") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	f(strings.Replace(good, "rp.w3,100,c\n", "", 1), "missing rp.w3 0/100")
	f(good+"rp.w77,100,x\n", "extra rp.w77 100/0")
	f(good+"nonsense,100,x\n", "extra nonsense 100/0")
	f(good+"rp.w8,100,x\nrp.w9,100,x\n", "unposted rp.w8 100/100; unposted rp.w9 100/100")
	f(strings.Replace(good, "rp.w3,100", "rp.w3,101", 1), "wrong amount rp.w3 101/100")
	f(good+"rp.w3,100,c\n", "double rp.w3 100/0")
	f(good+"rp.w0,100,x\n", "double rp.w0 100/100")      // paid, and recorded, the day before
	f(strings.Replace(good, "rp.w1,100,a\n", "", 1), "") // recorded at 00:00: yesterday's statement has it
}

func TestWhatWasOnlyPlayedIsInNoStatement(t *testing.T) {
	ctx, l := context.Background(), book(t)
	_, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "play", Sender: "rehearsal-s", Amount: 100, Count: 1, State: ledger.Funded})
	if err == nil {
		err = l.Settle(ctx, []ledger.Batch{{From: ledger.Position{Epoch: 1, Seq: 10}, To: ledger.Position{Epoch: 1, Seq: 11},
			Wins: []ledger.Win{{RedPacket: "play", UID: "rehearsal-b-1", N: "1", Amount: 100, Epoch: 1, Seq: 11}}}})
	}
	if err == nil {
		_, err = l.Claim(ctx, 9, time.Minute)
	}
	if err == nil {
		err = l.Done(ctx, []ledger.Outcome{{Key: "play.w0", Reference: "rehearsal", At: day.Add(time.Hour)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := statement.Payouts(ctx, l, statement.Options{From: day, To: day.AddDate(0, 0, 1)}, strings.NewReader(good), func(d statement.Difference) { t.Error(d) })
	if err != nil || r.Matched != 7 {
		t.Error(r, err)
	}
}

func TestPaymentsAreCompared(t *testing.T) {
	f := func(csv, want string) {
		t.Helper()
		got := ""
		_, err := statement.Payments(context.Background(), book(t), statement.Options{From: day, To: day.AddDate(0, 0, 1), Provider: "bank"},
			strings.NewReader(csv), func(d statement.Difference) { got += d.Kind + " " + d.Key + ";" })
		if err != nil || got != want {
			t.Errorf("got %q %v, want %q", got, err, want)
		}
	}
	f("key,amount\np1,1000\n", "")
	f("key,amount\n", "missing p1;")
	f("\ufeffamount_yuan,other,key\n 10.00,x,p1\n# comment\n", "")
	f("key,amount_yuan\np1,10.01\n", "wrong amount p1;")
	f("key,amount\np1,1000\np2,5\n", "extra p2;")
}

func TestFilesThatAreNoStatementsAreRefusedWithTheLine(t *testing.T) {
	f := func(csv, want string) {
		t.Helper()
		err := statement.Read(strings.NewReader(csv), func(statement.Line) error { return nil })
		if !errors.Is(err, statement.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", csv, err)
		}
	}
	f("", "header")
	f("key\n", "amount")
	f("key,amount,amount_yuan\n", "amount")
	f("key,key,amount\n", "twice")
	f("key,amount\na,1\nb,x\n", "line 3")
	f("key,amount\na,-1\n", "line 2")
	f("key,amount\na,12.5\n", "line 2")
	f("key,amount\na,9223372036854775808\n", "line 2")
	f("key,amount\n,1\n", "line 2")
	f("key,amount\na,1,2\n", "line 2")
	f("key,amount_yuan\na,1.234\n", "line 2")
	f("key,amount_yuan\na,1.\n", "line 2")
	f("key,amount_yuan\na,1e3\n", "line 2")
	f("key,amount_yuan\na,92233720368547758.08\n", "line 2")
}

func FuzzRead(f *testing.F) {
	f.Add(good)
	f.Add("amount_yuan,key\n1.5,a\n")
	f.Add("key,amount\n\"a\nb\",1\n")
	f.Fuzz(func(t *testing.T, csv string) {
		err := statement.Read(strings.NewReader(csv), func(l statement.Line) error {
			if l.Key == "" || l.Amount < 0 || l.Number < 1 {
				t.Fatalf("%+v", l)
			}
			return nil
		})
		if err != nil && !errors.Is(err, statement.ErrFormat) {
			t.Fatal(err)
		}
	})
}
