package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A portal of coupons holds no money: nobody is asked to pay, it is drawn, its coupons are paid out, and
// its close and its proofs are of 0 fen. On PostgreSQL with a payment provider, and on SQLite.
func TestAPortalOfCouponsNeedsNoMoney(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		provider := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		defer provider.Close()
		h := startHouse(t, fmt.Sprintf("payment: {provider: webhook, url: %q, secret: \"the provider's secret, 32 bytes or more\"}\n", provider.URL))
		couponsOnly(t, h.addr, h.token, "-c", h.file)
		if asked.Load() != 0 {
			t.Errorf("the provider was asked %d times for nothing", asked.Load())
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		r := startRun(t)
		couponsOnly(t, r.addr, r.token, "--data", r.data)
	})
}

func couponsOnly(t *testing.T, addr string, token func(uid, scope string) string, place ...string) {
	t.Helper()
	sender := newClient(addr, token("sender", "fund"))
	const tea, cake, never = `{"name":"tea","kind":"coupon","count":2,"chance_ppm":500000,"codes":["T1","T2"]}`,
		`{"name":"cake","kind":"coupon","count":1,"chance_ppm":499999}`, `{"name":"hug","kind":"other","count":1,"chance_ppm":1}`
	body := func(amount, count, prizes string) string {
		return fmt.Sprintf(`{"mode":"portal","amount":%s,"count":%s,"cap":1000,"prizes":[%s]}`, amount, count, prizes)
	}
	bad := func(body, code string) {
		t.Helper()
		if a := sender.do(t, "POST", "/v1/redpackets", body); a.Status != 400 || a.str("error", "code") != code || a.str("error", "field") != "amount" {
			t.Errorf("%s: %d %s, want 400 %s of amount", body, a.Status, a.Body, code)
		}
	}
	bad(body("1", "4", tea+","+cake+","+never), "infeasible")
	bad(body("-1", "4", tea+","+cake+","+never), "too_small")
	bad(body("0", "1", `{"name":"cash","amount":100,"count":1,"chance_ppm":1}`), "infeasible")
	bad(`{"amount":0,"count":5}`, "too_small")
	bad(`{"amount":0,"count":5,"mode":"equal"}`, "too_small")

	id := fund(t, sender, body("0", "4", tea+","+cake+","+never), "Idempotency-Key", "coupons")
	user := newClient(addr, token("ann", ""))
	won := map[string]answer{}
	for i := 0; len(won) < 2 && i < 500; i++ { // the first of each prize is there at once, the second tea in hours
		a := user.do(t, "POST", "/v1/redpackets/"+id+"/draw", "", "Idempotency-Key", fmt.Sprint("draw-", i))
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a.str("outcome") == "won" {
			won[a.str("prize")] = a
		}
	}
	eventually(t, 30*time.Second, func() error { // a win is in the ledger soon, and paid out soon after
		if a := user.do(t, "GET", "/v1/me/wins", ""); strings.Count(a.Body, `"payout":"paid"`) != 2 || !strings.Contains(a.Body, "coupon:tea:T1") {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
	run := func(args ...string) (string, int) {
		return sluice(t, append(append([]string{"redpacket"}, args...), place...)...)
	}
	if out, code := run("close", id); code != 0 {
		t.Fatalf("close: exit %d\n%s", code, out)
	}
	proof := filepath.Join(t.TempDir(), "proof.json")
	eventually(t, 30*time.Second, func() error {
		out, code := run("reconcile", "--proof", proof, id)
		if code != 0 {
			return fmt.Errorf("exit %d\n%s", code, out)
		}
		for _, name := range []string{"funded", "paid", "payable", "unsettled", "left", "refunding", "refunded", "quarantined", "difference"} {
			if !zero(out, name) {
				t.Errorf("%s is not 0:\n%s", name, out)
			}
		}
		return nil
	})
	if text, err := os.ReadFile(proof); err != nil || !strings.Contains(string(text), `"awards": 2`) {
		t.Errorf("proof: %s, %v", text, err)
	}
	if out, code := run("verify", id); code != 0 || !strings.Contains(out, "2 winners have what the table gives") {
		t.Errorf("verify: exit %d\n%s", code, out)
	}
	if out, code := run("payouts", "--stuck"); code != 0 || strings.Contains(out, id) {
		t.Errorf("payouts: exit %d\n%s", code, out)
	}
	if a := user.do(t, "POST", "/v1/redpackets/"+id+"/draw", "", "Idempotency-Key", "late"); a.str("outcome") != "closed" {
		t.Errorf("after close: %d %s", a.Status, a.Body)
	}
}
