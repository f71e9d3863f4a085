package payout_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/payout"
)

var (
	secret = []byte("secret")
	sample = ledger.Payout{Key: "rp.w7", Kind: ledger.Wallet, RedPacket: "rp", UID: "u1", Share: 7, N: "1", Amount: 123, At: time.UnixMilli(1801828800123).UTC()}
)

// pay sends the sample to a provider that answers so.
func pay(t *testing.T, status int, answer string) (string, error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, _ := io.ReadAll(r.Body)
		if err := payout.Verify(r.Header, secret, doc, time.Now(), time.Minute); err != nil {
			t.Error(err)
		}
		var p map[string]any
		if err := json.Unmarshal(doc, &p); err != nil || p["amount"] != 123.0 || p["uid"] != "u1" || p["kind"] != "wallet" || p["key"] != "rp.w7" {
			t.Error(string(doc), err)
		}
		if r.Header.Get(payout.HeaderKey) != "rp.w7" {
			t.Error(r.Header)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	return (&payout.Webhook{URL: s.URL, Secret: secret, Client: &http.Client{Transport: tr}}).Pay(context.Background(), sample)
}

func TestWebhookSignsAndTakesTheReference(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{`{"reference":"77"}`, "77"}, {``, ""}, {`OK`, ""}, {`{"reference":"` + strings.Repeat("x", 1000) + `"}`, ""},
		{`{"reference":"7\u00007"}`, ""},
	} {
		if got, err := pay(t, 200, c.answer); err != nil || got != c.want {
			t.Errorf("%q: %q %v", c.answer, got, err)
		}
	}
}

func TestWebhookTellsRefusalsFromFailures(t *testing.T) {
	for status, refused := range map[int]bool{400: true, 401: true, 403: true, 404: true, 410: true, 422: true,
		302: false, 408: false, 409: false, 425: false, 429: false, 500: false, 503: false} {
		_, err := pay(t, status, strings.Repeat("why ", 100))
		if err == nil || errors.Is(err, payout.ErrRefused) != refused {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestVerifyRefusesForgedOldAndMutilatedRequests(t *testing.T) {
	now := time.Unix(1801828800, 0)
	doc := []byte(`{"amount":123}`)
	good := func() http.Header {
		h := http.Header{}
		payout.Sign(h, secret, doc, now)
		return h
	}
	if err := payout.Verify(good(), secret, doc, now.Add(time.Minute), 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	f := func(name string, h http.Header, secret, doc []byte, at time.Time) {
		t.Helper()
		if err := payout.Verify(h, secret, doc, at, 5*time.Minute); !errors.Is(err, payout.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("other secret", good(), []byte("other"), doc, now)
	f("other body", good(), secret, []byte(`{"amount":124}`), now)
	f("too old", good(), secret, doc, now.Add(6*time.Minute))
	f("from the future", good(), secret, doc, now.Add(-6*time.Minute))
	h := good()
	h.Set(payout.HeaderTimestamp, "1801828801")
	f("timestamp changed", h, secret, doc, now)
	h = good()
	h.Set(payout.HeaderSignature, h.Get(payout.HeaderSignature)[:20])
	f("cut", h, secret, doc, now)
	f("none", http.Header{}, secret, doc, now)
}
