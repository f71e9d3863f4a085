package redpacket

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sluice/gateway/ledger"
)

func TestPasswordIsCheckedAndTriesAreLimited(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":10000,"count":20,"password":"sesame"}`)
		try := func(uid, password string) Outcome {
			t.Helper()
			out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid, Password: password})
			w.must(err)
			return out
		}
		if out := try("a", ""); out.Kind != Denied || out.Reason != "password" {
			t.Fatalf("%+v", out)
		}
		for i := range 5 {
			if out := try("a", "wrong"); out.Kind != Denied || out.Reason != "password" || out.Left != int64(4-i) {
				t.Fatalf("%d: %+v", i, out)
			}
		}
		for _, p := range []string{"wrong", "sesame"} {
			if out := try("a", p); out.Kind != Denied || out.Reason != "tries" {
				t.Fatalf("%s: %+v", p, out)
			}
		}
		if out := try("b", "sesame"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		all := w.rdb.HGetAll(ctx, w.house.keys[id.Bucket()].rp(id.String())).Val()
		for k, v := range all {
			if v == "sesame" || k == "password" {
				t.Error("the password is stored")
			}
		}
	})
}

// The password opens the first draw; a win is told again without it, whatever the cache has lost.
func TestWhoHasWonHearsItWithAnyPassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		soon := time.Now().Add(time.Hour).Format(time.RFC3339)
		for _, body := range []string{
			`{"amount":10000,"count":20,"password":"sesame"}`,
			`{"amount":10000,"count":20,"password":"sesame","parts":4}`,
			`{"mode":"portal","amount":10000,"count":100,"password":"sesame","closes_at":"` + soon + `","prizes":[{"name":"cash","amount":100,"count":100,"chance_ppm":1000000}]}`,
		} {
			id := w.fund(body)
			try := func(uid, password string) Outcome {
				t.Helper()
				out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid, Password: password, N: "1"})
				w.must(err)
				return out
			}
			won := try("a", "sesame")
			if won.Kind != Won {
				t.Fatalf("%s: %+v", body, won)
			}
			for range 8 { // more than there are tries
				for _, password := range []string{"", "wrong"} {
					if out := try("a", password); out.Kind != Already || out.Share != won.Share || out.Amount != won.Amount {
						t.Fatalf("%s with %q: %+v", body, password, out)
					}
				}
			}
			if out := try("b", ""); out.Kind != Denied || out.Left != 5 {
				t.Fatalf("%+v", out)
			}
			if out := try("b", "wrong"); out.Kind != Denied || out.Left != 4 {
				t.Fatalf("%+v", out)
			}
		}
	})
}

func TestAudiencesAreHeldByTheScript(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		list := w.fund(`{"amount":1000,"count":2,"audience":"list","list":["x","y"]}`)
		if out := w.draw(list, "z"); out.Kind != Denied || out.Reason != "list" {
			t.Fatalf("%+v", out)
		}
		if out := w.draw(list, "x"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		fans := w.fund(`{"amount":1000,"count":2,"audience":"fans"}`)
		if out := w.draw(fans, "z"); out.Kind != Denied || out.Reason != "fans" {
			t.Fatalf("%+v", out)
		}
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: fans, UID: "z", Fan: true}); err != nil || out.Kind != Won {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

func TestDrawBeforeOpeningTellsTheTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		opens := time.Now().Add(time.Hour).Truncate(time.Second)
		id := w.fund(fmt.Sprintf(`{"amount":1000,"count":2,"opens_at":%q}`, opens.Format(time.RFC3339)))
		st, err := w.desk.Show(context.Background(), id)
		if err != nil || st.State != StateScheduled {
			t.Fatalf("%+v, %v", st, err)
		}
		if out := w.draw(id, "a"); out.Kind != NotOpen || out.OpensAt != opens.UnixMilli() {
			t.Fatalf("%+v", out)
		}
		// At the edge the home's clock decides, whatever the gateway's says.
		seen := Seen{Now: opens.UnixMilli() - 100, Found: true, State: st}
		if out, ok := seen.Decide(); ok {
			t.Fatalf("the gateway decided at the edge: %+v", out)
		}
		if out, err := w.desk.Draw(context.Background(), DrawRequest{ID: id, UID: "a", Seen: &seen}); err != nil || out.Kind != NotOpen {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

func TestCachedSoldOutIsNotToldWithoutAskingHome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.fund(`{"amount":1000,"count":2}`)
		w.draw(id, "a") // its reply was lost, and so was its w: record
		w.draw(id, "b")
		st, err := w.desk.Show(context.Background(), id)
		if err != nil || st.State != StateSoldOut {
			t.Fatalf("%+v, %v", st, err)
		}
		if out := w.draw(id, "a"); out.Kind != Already {
			t.Fatalf("%+v", out)
		}
		if out := w.draw(id, "c"); out.Kind != SoldOut {
			t.Fatalf("%+v", out)
		}
	})
}

func TestPortalDrawsAgainUpToItsCap(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":800,"count":5,"mode":"portal","cap":3,"closes_at":"` + time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano) + `","prizes":[
			{"name":"cash8","amount":400,"count":2,"chance_ppm":500000},
			{"name":"tea","kind":"coupon","count":2,"chance_ppm":300000,"codes":["T1","T2"]},
			{"name":"hug","kind":"other","count":1,"chance_ppm":200000}]}`)
		draw := func(uid, n string) Outcome {
			t.Helper()
			out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uid, N: n})
			w.must(err)
			return out
		}
		var fe *FieldError
		if _, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "a"}); !errors.As(err, &fe) || fe.Field != "Idempotency-Key" {
			t.Fatal(err)
		}
		wins, codes := 0, map[string]bool{}
		for i := 0; i < 400; i++ {
			uid := uidOf(i)
			for n := range 4 {
				out := draw(uid, fmt.Sprint("n", n))
				if out.Kind == Closed {
					i = 1000
					break
				}
				if n == 3 && out.Kind != SoldOut && (out.Kind != Denied || out.Reason != "cap") {
					t.Fatalf("a fourth draw: %+v", out)
				}
				if out.Kind != Won {
					continue
				}
				wins++
				if out.PrizeKind == "coupon" {
					if codes[out.Code] {
						t.Fatalf("coupon %s twice", out.Code)
					}
					codes[out.Code] = true
				}
				if again := draw(uid, fmt.Sprint("n", n)); again.Kind != Already || again.Share != out.Share || again.Prize != out.Prize {
					t.Fatalf("%+v, first %+v", again, out)
				}
			}
			w.settle()
			time.Sleep(10 * time.Millisecond) // budgets are let out over time
		}
		if wins == 0 || wins > 5 {
			t.Fatalf("%d prizes", wins)
		}
		w.settle()
		w.clean(id)
		_, err := w.desk.Close(ctx, id, "")
		w.must(err)
		w.settle()
		r := w.clean(id)
		if r.Payable+r.Refunding != 800 {
			t.Fatalf("%v", r)
		}
	})
}

func TestChancesAreAVersionedKnob(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":400,"count":2,"mode":"portal","prizes":[{"name":"a","amount":200,"count":2,"chance_ppm":1}]}`)
		f := func(version int64, chances map[string]int64, ok bool) {
			t.Helper()
			if err := w.desk.Tune(ctx, id, version, chances); (err == nil) != ok {
				t.Errorf("version %d %v: %v", version, chances, err)
			}
		}
		f(0, map[string]int64{"a": 1}, false)
		f(2, map[string]int64{"a": 1_000_001}, false)
		f(2, map[string]int64{"b": 1}, false)
		f(2, map[string]int64{"a": 1_000_000}, true)
		f(2, map[string]int64{"a": 0}, false)
		f(1, map[string]int64{"a": 0}, false)
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "u", N: "1"}); err != nil || out.Kind != Won || out.Prize != "a" {
			t.Fatalf("%+v, %v", out, err)
		}
		f(3, map[string]int64{"a": 0}, true)
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "u", N: "2"}); err != nil || out.Kind != SoldOut {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

// A portal of coupons costs nothing: no provider is asked, it opens at once, and it is proved by its prizes.
func TestAPortalOfCouponsOpensWithoutAPayment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		payer := &slowPayer{}
		w.splitter.Provider = payer
		id := w.fund(`{"amount":0,"count":4,"mode":"portal","prizes":[
			{"name":"tea","kind":"coupon","count":2,"chance_ppm":500000,"codes":["T1","T2"]},
			{"name":"cake","kind":"coupon","count":1,"chance_ppm":499999},
			{"name":"hug","kind":"other","count":1,"chance_ppm":1}]}`)
		if st, err := w.desk.Show(ctx, id); err != nil || st.State != StateOpen || st.Amount != 0 || st.LeftAmount != 0 || payer.asked != 0 {
			t.Fatalf("%+v, %v, asked %d times", st, err, payer.asked)
		}
		won := map[string]Outcome{}
		for i := 0; len(won) < 2 && i < 500; i++ { // the first of each prize is there at once
			out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: uidOf(i), N: "n"})
			w.must(err)
			if out.Kind == Won {
				won[out.Prize] = out
			}
		}
		if won["tea"].Code != "T1" || won["tea"].Amount != 0 || won["cake"].Code == "" {
			t.Fatalf("%+v", won)
		}
		if r := w.clean(id); r.Funded != 0 || r.Unsettled != 0 {
			t.Fatalf("%v", r)
		}
		w.settle()
		_, err := w.desk.Close(ctx, id, "sender")
		w.must(err)
		w.settle()
		r := w.clean(id)
		if r.Funded != 0 || r.Refunding != 0 || r.Awards != 2 || r.State != ledger.Closed {
			t.Fatalf("%v", r)
		}
		row, err := w.ledger.RedPacket(ctx, id.String())
		w.must(err)
		_, err = Proof(&r, &row)
		w.must(err)
		if v, err := Verify(ctx, w.ledger, id); err != nil || v.Checked != 2 || v.Shares != nil {
			t.Fatalf("%+v, %v", v, err)
		}
		pays, err := w.ledger.Claim(ctx, 10, time.Minute)
		if err != nil || len(pays) != 2 || pays[0].Kind != ledger.Coupon || pays[1].Kind != ledger.Coupon {
			t.Fatalf("%+v, %v", pays, err)
		}
	})
}

func TestWinsThatAPortalsTableDoesNotGiveAreDifferences(t *testing.T) {
	sp := &spec{Mode: ModePortal, Count: 9, Prizes: []Prize{{Name: "tea", Kind: "coupon", Count: 3, Codes: []string{"T1", "T2", "T3"}},
		{Name: "cash", Kind: "cash", Amount: 50, Count: 1}}}
	won := newPrizesWon(sp)
	f := func(prize string, amount int64, want string) {
		t.Helper()
		if kind, detail := won.add(&ledger.Win{Prize: prize, Amount: amount}); kind != want {
			t.Errorf("%s of %d fen: %q %s, want %q", prize, amount, kind, detail, want)
		}
	}
	f("coupon:tea:T1", 0, "")
	f("coupon:tea:T1", 0, Double)
	f("coupon:tea:T2", 5, WrongAmount)
	f("coupon:tea:T3", 0, Orphan) // a fourth tea
	f("coupon:coffee:C", 0, Orphan)
	f("other:tea", 0, Orphan)
	f("cash:cash", 50, "")
	f("cash:cash", 50, Orphan)
	f("", 7, "") // released from quarantine
	if kind, _ := newPrizesWon(sp).add(&ledger.Win{Prize: "coupon:tea:T9"}); kind != Orphan {
		t.Error("a code that was not funded")
	}
}
