package payment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
)

var secret = []byte("a secret of the provider")

func funded(t *testing.T) (*memory.Store, *Webhook, func() time.Time) {
	t.Helper()
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	l := memory.New(memory.Options{Now: now})
	ctx := context.Background()
	rp := ledger.RedPacket{ID: "rp1", Sender: "s", Home: 1, Mode: "lucky", Audience: "anyone", Lock: "none", Amount: 1000, Count: 2,
		Min: 50, Max: 2000, ClosesAt: now().Add(time.Hour), CreatedAt: now(), Seed: make([]byte, 32), SeedHash: make([]byte, 32),
		Spec: []byte("{}"), BodyHash: []byte("h"), State: ledger.Unpaid}
	if _, _, err := l.PutRedPacket(ctx, rp); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.PutPayment(ctx, ledger.Payment{ID: "pay-rp1", RedPacket: "rp1", Provider: "webhook", Amount: 1000,
		State: ledger.PaymentAsked, AskedAt: now()}); err != nil {
		t.Fatal(err)
	}
	w, err := New(Config{URL: "http://127.0.0.1:1/", Secret: secret, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return l, w, now
}

func TestOnlySignedFreshAndRightCallbacksConfirm(t *testing.T) {
	l, w, now := funded(t)
	ctx := context.Background()
	f := func(body string, age time.Duration, key []byte, want error) {
		t.Helper()
		stamp := strconv.FormatInt(now().Add(-age).Unix(), 10)
		_, err := w.Confirm(ctx, l, stamp, Sign(key, stamp, []byte(body)), []byte(body))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	state := func(want string) {
		t.Helper()
		if rp, err := l.RedPacket(ctx, "rp1"); err != nil || rp.State != want {
			t.Fatalf("%s, %v; want %s", rp.State, err, want)
		}
	}
	good := `{"payment":"pay-rp1","amount":1000,"reference":"r"}`
	f(good, 0, []byte("another secret, as long"), ErrForged)
	f(good, time.Hour, secret, ErrForged)
	f(good, -time.Hour, secret, ErrForged)
	f(`{"payment":"pay-rp1","amount":999,"reference":"r"}`, 0, secret, ledger.ErrAmount)
	f(`{"payment":"pay-rp1","amount":"1000"}`, 0, secret, ErrMalformed)
	f(`{"payment":"pay-rp1","amount":1e400}`, 0, secret, ErrMalformed)
	f(`{"payment":"pay-rp1","amount":-1000}`, 0, secret, ErrMalformed)
	f(`{"payment":"pay-rp1","amount":1000,"extra":1}`, 0, secret, ErrMalformed)
	f(`{"payment":"pay-other","amount":1000}`, 0, secret, ledger.ErrNotFound)
	state(ledger.Unpaid)
	for range 3 { // replays change nothing
		f(good, 0, secret, nil)
		state(ledger.Funded)
	}
	s, err := l.Reconcile(ctx, "rp1", nil)
	if err != nil || s.Funded != 1000 {
		t.Fatal(s.Funded, err)
	}
}

func TestAskIsSignedAndNamesThePayment(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Sluice-Signature") != Sign(secret, r.Header.Get("Sluice-Timestamp"), body) || r.Header.Get("Idempotency-Key") != "pay-rp1" {
			rw.WriteHeader(403)
			return
		}
		fmt.Fprint(rw, `{"paid":false}`)
	}))
	defer server.Close()
	w, err := New(Config{URL: server.URL, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if paid, err := w.Ask(context.Background(), ledger.Payment{ID: "pay-rp1", RedPacket: "rp1", Amount: 1000}); paid || err != nil {
		t.Fatal(paid, err)
	}
	other, _ := New(Config{URL: server.URL, Secret: []byte("another secret, as long")})
	if _, err := other.Ask(context.Background(), ledger.Payment{ID: "pay-rp1"}); err == nil {
		t.Fatal("a refusal was taken for an answer")
	}
}
