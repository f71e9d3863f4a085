package payout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
	"sluice/gateway/ledger/payout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a provider that remembers.
type fake struct {
	mu    sync.Mutex
	calls map[string]int // key -> calls
	fails func(p ledger.Payout, call int) error
}

func (f *fake) Pay(_ context.Context, p ledger.Payout) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[p.Key]++
	if f.fails != nil {
		if err := f.fails(p, f.calls[p.Key]); err != nil {
			return "", err
		}
	}
	return "ref-" + p.Key, nil
}

// book is a memory ledger with n wins of 100 fen, and 300 fen returned.
func book(t *testing.T, n int, hook func(string) error) *memory.Store {
	t.Helper()
	ctx := context.Background()
	l := memory.New(memory.Options{Hook: hook})
	amount := int64(n)*100 + 300
	if _, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: "rp", Sender: "boss", Amount: amount, Count: n + 3, State: ledger.Funded}); err != nil {
		t.Fatal(err)
	}
	b := ledger.Batch{From: ledger.Position{Epoch: 1}, To: ledger.Position{Epoch: 1, Seq: uint64(n) + 1}}
	for i := range n {
		b.Wins = append(b.Wins, ledger.Win{RedPacket: "rp", Share: i, UID: fmt.Sprintf("u%d", i), N: "1", Amount: 100, Epoch: 1, Seq: uint64(i) + 1})
	}
	b.Closes = []ledger.Close{{RedPacket: "rp", Left: 300, LeftShares: 3, Epoch: 1, Seq: uint64(n) + 1}}
	if err := l.Settle(ctx, []ledger.Batch{b}); err != nil {
		t.Fatal(err)
	}
	return l
}

// run works for d of (made-up) time.
func run(t *testing.T, d time.Duration, c payout.Config) {
	t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	w, err := payout.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func sums(t *testing.T, l ledger.Store) string {
	t.Helper()
	s, err := l.Reconcile(context.Background(), "rp", nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("paid %d payable %d refunding %d refunded %d", s.Paid, s.Payable, s.Refunding, s.Refunded)
}

func TestEverythingIsPaidOnceAndPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 100, nil)
		f := &fake{calls: map[string]int{}}
		run(t, time.Second, payout.Config{Ledger: l, Providers: payout.All(f)})
		if got := sums(t, l); got != "paid 10000 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
		if len(f.calls) != 101 {
			t.Fatalf("%d keys were called", len(f.calls))
		}
		for key, n := range f.calls {
			if n != 1 {
				t.Fatalf("%s was called %d times", key, n)
			}
		}
		p, err := l.Payout(context.Background(), "rp.r0")
		if err != nil || p.Reference != "ref-rp.r0" || p.UID != "boss" || p.Kind != ledger.Refund {
			t.Fatal(p, err)
		}
	})
}

func TestFailuresBackOffUntilADeadLetterThatASweepRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 3, nil)
		f := &fake{calls: map[string]int{}, fails: func(p ledger.Payout, call int) error {
			if p.Key == "rp.w1" && call <= 7 { // 4 tries, then 3 of the next round
				return errors.New("timeout")
			}
			return nil
		}}
		var alarms []string
		run(t, 3*time.Hour, payout.Config{Ledger: l, Providers: payout.All(f), Tries: 4, BreakAfter: 1000,
			Alarm: func(_ context.Context, p ledger.Payout, cause error) {
				alarms = append(alarms, fmt.Sprint(p.Key, p.Tries, cause))
			}})
		if got := sums(t, l); got != "paid 300 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
		if fmt.Sprint(alarms) != "[rp.w14 timeout]" || f.calls["rp.w1"] != 8 {
			t.Fatal(alarms, f.calls)
		}
	})
}

func TestRefusalIsADeadLetterAtOnceAndStaysListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 2, nil)
		f := &fake{calls: map[string]int{}, fails: func(p ledger.Payout, _ int) error {
			if p.Key == "rp.w1" {
				return fmt.Errorf("%w: no such wallet", payout.ErrRefused)
			}
			return nil
		}}
		run(t, time.Minute, payout.Config{Ledger: l, Providers: payout.All(f)})
		if f.calls["rp.w1"] != 1 || sums(t, l) != "paid 100 payable 100 refunding 0 refunded 300" {
			t.Fatal(f.calls, sums(t, l))
		}
		var out strings.Builder
		if n, err := payout.Stuck(context.Background(), l, &out, 10); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		for _, want := range []string{"rp.w1", "u1", "dead", "no such wallet", "1 shown; queued 0, claimed 0, waiting 0, dead 1"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, &out)
			}
		}
		f.fails = nil
		if n, err := payout.Retry(context.Background(), l, &out, "rp.w1"); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		run(t, time.Minute, payout.Config{Ledger: l, Providers: payout.All(f)})
		if got := sums(t, l); got != "paid 200 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
	})
}

func TestCrashBetweenCallAndRecordCallsAgainWithTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := 0
		l := book(t, 5, func(point string) error {
			if point == "done:before" && lost < 5 { // the first worker never gets to record
				lost++
				return errors.New("crash")
			}
			return nil
		})
		f := &fake{calls: map[string]int{}}
		run(t, 5*time.Minute, payout.Config{Ledger: l, Providers: payout.All(f)})
		if got := sums(t, l); got != "paid 500 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
		again := 0
		for _, n := range f.calls {
			again += n - 1
		}
		if len(f.calls) != 6 || again == 0 {
			t.Fatalf("calls %v: want 6 keys, some of them twice", f.calls)
		}
	})
}

func TestBreakerStopsCallsAndCountsNoTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 200, nil)
		down := time.Now().Add(10 * time.Minute)
		f := &fake{calls: map[string]int{}, fails: func(p ledger.Payout, _ int) error {
			if p.Kind == ledger.Wallet && time.Now().Before(down) {
				return errors.New("connection refused")
			}
			return nil
		}}
		dead := 0
		run(t, 30*time.Minute, payout.Config{Ledger: l, Providers: payout.All(f), BreakAfter: 10, BackoffMax: time.Minute,
			Alarm: func(context.Context, ledger.Payout, error) { dead++ }})
		if got := sums(t, l); got != "paid 20000 payable 0 refunding 0 refunded 300" || dead > 0 {
			t.Fatal(got, dead)
		}
		calls := 0
		for _, n := range f.calls {
			calls += n
		}
		// One probe each 15 s for 10 minutes, and the sixteen under way when it opened.
		if calls > 201+40+2*16 {
			t.Fatalf("%d calls while the breaker should have been open", calls)
		}
	})
}

func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 100, nil)
		f := &fake{calls: map[string]int{}}
		run(t, 5*time.Second, payout.Config{Ledger: l, Providers: payout.All(f), RatePerSecond: 10})
		wallet := 0
		for key := range f.calls {
			if strings.Contains(key, ".w") {
				wallet++
			}
		}
		if wallet < 45 || wallet > 52 {
			t.Fatalf("%d calls in 5 s at 10/s", wallet)
		}
		run(t, time.Minute, payout.Config{Ledger: l, Providers: payout.All(f), RatePerSecond: 10})
		if got := sums(t, l); got != "paid 10000 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
	})
}

func TestPanicOfAProviderIsAFailureOfItsPayoutAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 2, nil)
		f := &fake{calls: map[string]int{}, fails: func(p ledger.Payout, call int) error {
			if p.Key == "rp.w0" && call == 1 {
				panic("bug")
			}
			return nil
		}}
		run(t, time.Minute, payout.Config{Ledger: l, Providers: payout.All(f)})
		if got := sums(t, l); got != "paid 200 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
	})
}

// slow takes a second and then says yes.
type slow struct{}

func (slow) Pay(ctx context.Context, _ ledger.Payout) (string, error) {
	select {
	case <-time.After(time.Second):
		return "late", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func TestShutdownFinishesAndRecordsCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 1, nil)
		run(t, 100*time.Millisecond, payout.Config{Ledger: l, Providers: payout.All(slow{})})
		if got := sums(t, l); got != "paid 100 payable 0 refunding 0 refunded 300" {
			t.Fatal(got)
		}
	})
}

func TestCallsAreBoundedByTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 1, nil)
		run(t, 10*time.Second, payout.Config{Ledger: l, Providers: payout.All(slow{}), Timeout: 500 * time.Millisecond, Tries: 2})
		b, err := l.Backlog(context.Background())
		if err != nil || b.Dead != 2 {
			t.Fatal(b, err)
		}
	})
}

func TestBadConfigurationIsRefused(t *testing.T) {
	f := func(change func(*payout.Config)) {
		t.Helper()
		c := payout.Config{Ledger: memory.New(memory.Options{}), Providers: payout.All(payout.Auto{})}
		change(&c)
		if _, err := payout.New(c); err == nil {
			t.Error("was taken")
		}
	}
	f(func(c *payout.Config) { c.Ledger = nil })
	f(func(c *payout.Config) { delete(c.Providers, ledger.Coupon) })
	f(func(c *payout.Config) { c.Lease, c.Timeout = time.Second, time.Second })
	f(func(c *payout.Config) { c.BackoffMin, c.BackoffMax = time.Hour, time.Second })
	f(func(c *payout.Config) { c.Tries = -1 })
}

func TestWhatAProviderSaysCanAlwaysBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := book(t, 1, nil)
		said := "\x00" + strings.Repeat("无", 1000)
		f := &fake{calls: map[string]int{}, fails: func(ledger.Payout, int) error { return fmt.Errorf("%w: %s", payout.ErrRefused, said) }}
		run(t, time.Second, payout.Config{Ledger: l, Providers: payout.All(f)})
		p, err := l.Payout(context.Background(), "rp.w0")
		if err != nil || p.State != ledger.Dead || !utf8.ValidString(p.LastError) || strings.Contains(p.LastError, "\x00") {
			t.Errorf("%v: %q, %v", p.State, p.LastError, err)
		}
	})
}

func TestNoWalletIsCalledForWhatWasOnlyPlayed(t *testing.T) {
	f := &fake{calls: map[string]int{}}
	pay := payout.Rehearsal{Next: f}
	for _, p := range []ledger.Payout{
		{Key: "real", Kind: ledger.Wallet, UID: "rehearsal-u1"}, {Key: "played", Kind: ledger.Wallet, Played: true},
	} {
		if ref, err := pay.Pay(t.Context(), p); err != nil || ref == "" {
			t.Errorf("%s: %q, %v", p.Key, ref, err)
		}
	}
	if want := map[string]int{"real": 1}; !maps.Equal(f.calls, want) {
		t.Errorf("called %v, want %v", f.calls, want)
	}
}
