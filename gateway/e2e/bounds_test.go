package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/payment"
)

// redPackets counts what stands in the home's Redis.
func (h *house) redPackets() int {
	h.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: h.redis.Addr})
	defer rdb.Close()
	keys, err := rdb.Keys(context.Background(), "{b*}:rp:*").Result()
	if err != nil {
		h.t.Fatal(err)
	}
	return len(keys)
}

// Every number at and past its bounds, and every word that is not one of those allowed: a 4xx that names
// the field, and nothing is stored.
func TestFundRequestsOutOfBoundsNameTheFieldAndLeaveNothing(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	sender := newClient(h.addr, h.token("sender", "fund"))
	f := func(body, field, code string) {
		t.Helper()
		a := sender.do(t, "POST", "/v1/redpackets", body)
		if a.Status != 400 || a.str("error", "code") != code || a.str("error", "field") != field || !strings.HasPrefix(a.str("error", "message"), field) {
			t.Errorf("%.120s: %d %.200s, want 400 %s of %s", body, a.Status, a.Body, code, field)
		}
	}
	good := map[string]string{"amount": "10000", "count": "20", "min": "1", "max": "20000"}
	with := func(name, value string) string {
		fields := []string{fmt.Sprintf("%q:%s", name, value)}
		for k, v := range good {
			if k != name {
				fields = append(fields, fmt.Sprintf("%q:%s", k, v))
			}
		}
		return "{" + strings.Join(fields, ",") + "}"
	}
	for name, most := range map[string]int64{"amount": redpacket.MaxAmount, "count": redpacket.MaxCount, "min": redpacket.MaxShare,
		"max": redpacket.MaxShare, "parts": redpacket.MaxParts} {
		for _, small := range []string{"0", "-0", "-1", "-9223372036854775808", "-9223372036854775809"} {
			f(with(name, small), name, "too_small")
		}
		for _, large := range []string{strconv.FormatInt(most+1, 10), "9223372036854775807", "9223372036854775808", "18446744073709551617", strings.Repeat("9", 400)} {
			f(with(name, large), name, "too_large")
		}
		for _, odd := range []string{"1e400", "1e2", `"12"`, "12.5", "12.0", "null", "true", "[1]", "{}"} {
			f(with(name, odd), name, "not_integer")
		}
	}
	// Fine alone, impossible together.
	f(`{"amount":19,"count":20,"min":1,"max":100}`, "amount", "infeasible")
	f(`{"amount":2001,"count":20,"min":1,"max":100}`, "amount", "infeasible")
	f(`{"amount":1000,"count":20,"min":60,"max":59}`, "min", "infeasible")
	f(`{"amount":10000000000000,"count":10000000,"min":100000000000,"max":100000000000}`, "amount", "infeasible")
	f(`{"amount":1001,"count":10,"mode":"equal"}`, "amount", "infeasible")
	f(`{"amount":1000,"count":5,"parts":6}`, "parts", "too_large")
	f(`{"amount":1000,"count":5,"mode":"LUCKY"}`, "mode", "invalid")
	f(`{"amount":1000,"count":5,"mode":null}`, "mode", "not_string")
	f(`{"amount":1000,"count":5,"lock":"password"}`, "lock", "unknown_field")
	f(`{"amount":1000,"count":5,"password":""}`, "password", "too_small")
	f(`{"amount":1000,"count":5,"password":12}`, "password", "not_string")
	f(`{"amount":1000,"count":5,"password":"`+strings.Repeat("x", redpacket.MaxPassword+1)+`"}`, "password", "too_large")
	f(`{"amount":1000,"count":5,"password":"`+strings.Repeat("x", 60_000)+`"}`, "password", "too_large")
	f(`{"amount":1000,"count":5,"closes_at":"2020-01-01T00:00:00Z"}`, "closes_at", "invalid")
	f(`{"amount":1000,"count":5,"closes_at":"2025-01-01T00:00:00Z"}`, "closes_at", "too_small")
	f(`{"amount":1000,"count":5,"closes_at":"2100-01-01T00:00:00Z"}`, "closes_at", "too_large")
	f(`{"amount":1000,"count":5,"opens_at":"2099-01-01T00:00:00Z","closes_at":"2099-01-01T00:00:00Z"}`, "closes_at", "infeasible")
	f(`{"amount":1000,"count":5,"opens_at":"2099-01-01T00:00:00Z","closes_at":"2099-12-01T00:00:00Z"}`, "closes_at", "too_large")
	f(`{"amount":1000,"count":5,"opens_at":"2099-02-30T00:00:00Z"}`, "opens_at", "invalid")
	// Audiences.
	f(`{"amount":1000,"count":5,"audience":"friends"}`, "audience", "invalid")
	f(`{"amount":1000,"count":5,"audience":"fans","list":["a"]}`, "list", "infeasible")
	f(`{"amount":1000,"count":5,"audience":"list","list":[]}`, "list", "infeasible")
	f(`{"amount":1000,"count":5,"audience":"list","list":"a"}`, "list", "not_list")
	f(`{"amount":1000,"count":5,"audience":"list","list":["a",1]}`, "list", "not_list")
	f(`{"amount":1000,"count":5,"audience":"list","list":["a:b"]}`, "list", "invalid")
	f(`{"amount":1000,"count":5,"audience":"list","list":["`+strings.Repeat("u", 65)+`"]}`, "list", "invalid")
	f(`{"amount":1000,"count":5,"audience":"list","list":[`+strings.Repeat(`"u",`, redpacket.MaxList)+`"u"]}`, "list", "too_large")
	// A list as long as it may be, of the longest uids, is no large body for this route.
	list := make([]string, redpacket.MaxList)
	for i := range list {
		list[i] = fmt.Sprintf(`"%064d"`, i)
	}
	whole := `{"amount":1000,"count":5,"audience":"list","list":[` + strings.Join(list, ",") + `]`
	f(whole+`,"mode":"?"}`, "mode", "invalid")
	if a := sender.do(t, "POST", "/v1/redpackets", whole+strings.Repeat(" ", 1<<20)+"}"); a.Status != 413 {
		t.Errorf("a body of 2 MB: %d %.200s", a.Status, a.Body)
	}
	// Nobody's memory is a stranger's for the asking.
	if a := newClient(h.addr, h.token("sender", "fund")+"x").do(t, "POST", "/v1/redpackets", whole+"}"); a.Status != 413 {
		t.Errorf("a long list with a forged token: %d %.200s", a.Status, a.Body)
	}
	// Prize tables.
	portal := func(amount, count, prizes string) string {
		return fmt.Sprintf(`{"mode":"portal","amount":%s,"count":%s,"prizes":%s}`, amount, count, prizes)
	}
	prize := func(name, kind, amount, count, chance string) string {
		return fmt.Sprintf(`{"name":%q,"kind":%q,"amount":%s,"count":%s,"chance_ppm":%s}`, name, kind, amount, count, chance)
	}
	for name, at := range map[string]int{"amount": 2, "count": 3, "chance_ppm": 4} {
		for value, code := range map[string]string{"-1": "too_small", "9223372036854775808": "too_large", "1e400": "not_integer", `"12"`: "not_integer", "12.5": "not_integer"} {
			p := []string{"a", "cash", "100", "1", "10"}
			p[at] = value
			f(portal("100", "1", "["+prize(p[0], p[1], p[2], p[3], p[4])+"]"), "prizes[0]."+name, code)
		}
	}
	f(portal("100", "1", `[]`), "prizes", "missing")
	f(portal("100", "1", `{}`), "prizes", "not_list")
	f(portal("100", "1", `[{"name":"a","amount":100,"count":1}]`), "prizes[0].chance_ppm", "missing")
	f(portal("100", "1", "["+prize("a b", "cash", "100", "1", "1")+"]"), "prizes[0].name", "invalid")
	f(portal("100", "1", "["+prize("a", "car", "100", "1", "1")+"]"), "prizes[0].kind", "invalid")
	f(portal("100", "1", "["+prize("a", "cash", "0", "1", "1")+"]"), "prizes[0].amount", "infeasible")
	f(portal("100", "1", "["+prize("a", "other", "100", "1", "1")+"]"), "prizes[0].amount", "infeasible")
	f(portal("100", "1", "["+prize("a", "cash", "100", "1", "1000001")+"]"), "prizes[0].chance_ppm", "too_large")
	f(portal("200", "2", "["+prize("a", "cash", "100", "1", "600000")+","+prize("b", "cash", "100", "1", "600000")+"]"), "prizes", "infeasible")
	f(portal("200", "2", "["+prize("a", "cash", "100", "1", "1")+","+prize("a", "cash", "100", "1", "1")+"]"), "prizes[1].name", "invalid")
	f(portal("101", "1", "["+prize("a", "cash", "100", "1", "1")+"]"), "amount", "infeasible")
	f(portal("100", "2", "["+prize("a", "cash", "100", "1", "1")+"]"), "count", "infeasible")
	f(portal("100", "1", "["+prize("a", "cash", "100000000000", "10000000", "1")+"]"), "prizes", "too_large")
	f(portal("100", "1", "["+strings.Repeat(prize("a", "cash", "100", "1", "1")+",", redpacket.MaxPrizes)+prize("b", "cash", "100", "1", "1")+"]"), "prizes", "too_large")
	f(`{"mode":"portal","amount":100,"count":2,"prizes":[{"name":"a","amount":100,"count":1,"chance_ppm":1},{"name":"c","kind":"coupon","count":1,"chance_ppm":1,"codes":["x","y"]}]}`, "prizes[1].codes", "infeasible")
	f(`{"mode":"portal","amount":100,"count":1,"cap":0,"prizes":[`+prize("a", "cash", "100", "1", "1")+`]}`, "cap", "too_small")
	f(`{"mode":"portal","amount":100,"count":1,"cap":1001,"prizes":[`+prize("a", "cash", "100", "1", "1")+`]}`, "cap", "too_large")
	f(`{"mode":"portal","amount":100,"count":1,"min":1,"prizes":[`+prize("a", "cash", "100", "1", "1")+`]}`, "min", "invalid")
	if a := sender.do(t, "POST", "/v1/redpackets", `{"amount":1000,"count":5}`, "Idempotency-Key", strings.Repeat("k", 257)); a.Status != 400 || a.str("error", "field") != "Idempotency-Key" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if n := h.redPackets(); n != 0 {
		t.Errorf("%d red packets were stored", n)
	}

	// Draws.
	locked := fund(t, sender, `{"amount":1000,"count":5,"password":"sesame"}`)
	user := newClient(h.addr, h.token("u1", ""))
	draw := func(id, body, field, code string, header ...string) {
		t.Helper()
		a := user.do(t, "POST", "/v1/redpackets/"+id+"/draw", body, header...)
		if a.Status != 400 || a.str("error", "code") != code || a.str("error", "field") != field {
			t.Errorf("%.80s: %d %.200s, want 400 %s of %s", body, a.Status, a.Body, code, field)
		}
	}
	draw(locked, `{"password":"`+strings.Repeat("x", 129)+`"}`, "password", "too_large")
	draw(locked, `{"password":"`+strings.Repeat("x", 60_000)+`"}`, "password", "too_large")
	draw(locked, `{"password":12}`, "password", "not_string")
	draw(locked, `{"amount":1}`, "amount", "unknown_field")
	if a := user.do(t, "POST", "/v1/redpackets/"+locked+"/draw", `{"password":"`+strings.Repeat("x", 1<<20)+`"}`); a.Status != 413 {
		t.Errorf("a password of 1 MB: %d %s", a.Status, a.Body)
	}
	prizes := fund(t, sender, portal("100", "1", "["+prize("a", "cash", "100", "1", "1")+"]"))
	draw(prizes, ``, "Idempotency-Key", "invalid")
	draw(prizes, ``, "Idempotency-Key", "invalid", "Idempotency-Key", "a b")
	draw(prizes, ``, "Idempotency-Key", "invalid", "Idempotency-Key", strings.Repeat("k", 65))
	for _, page := range []string{"x", "-1.0", "99999999999.0", "1.-1", "l.x"} {
		if a := user.do(t, "GET", "/v1/redpackets/"+locked+"/winners?page="+page, ""); a.Status != 400 || a.str("error", "field") != "page" {
			t.Errorf("page %s: %d %s", page, a.Status, a.Body)
		}
	}

	// The prize table's knob.
	tune := func(want int, args ...string) {
		t.Helper()
		if out, code := sluice(t, append([]string{"redpacket", "tune", "-c", h.file, prizes}, args...)...); code != want {
			t.Errorf("tune %v: exit %d, want %d: %s", args, code, want, out)
		}
	}
	tune(2, "--version", "1", "--chance", "a=-1")
	tune(2, "--version", "1", "--chance", "a=1000001")
	tune(2, "--version", "1", "--chance", "a=1e3")
	tune(2, "--version", "1", "--chance", "a")
	tune(2, "--version", "9223372036854775808", "--chance", "a=5")
	tune(1, "--version", "0", "--chance", "a=5")
	tune(1, "--version", "1", "--chance", "b=5")
	tune(0, "--version", "2", "--chance", "a=5")
	tune(1, "--version", "2", "--chance", "a=6")
	tune(1, "--version", "1", "--chance", "a=6")
	for _, id := range []string{locked, prizes} {
		mustSluice(t, "redpacket", "reconcile", "-c", h.file, id)
	}
}

// A provider's callback counts when it is signed, of now, and for the sum that was asked for; and
// then once.
func TestForgedOldAndWrongCallbacksFundNothing(t *testing.T) {
	t.Parallel()
	const secret = "the provider's secret, 32 bytes or more"
	var asked atomic.Int64
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	defer provider.Close()
	h := startHouse(t, fmt.Sprintf("payment: {provider: webhook, url: %q, secret: %q}\n", provider.URL, secret))
	sender := newClient(h.addr, h.token("sender", "fund"))
	res := sender.do(t, "POST", "/v1/redpackets", `{"amount":1000,"count":5}`)
	id := res.str("id")
	awaitState(t, sender, id, "unpaid")
	name := redpacket.PaymentID(id)

	call := func(key, body string, age time.Duration, status int, word string) {
		t.Helper()
		stamp := strconv.FormatInt(time.Now().Add(-age).Unix(), 10)
		req, err := http.NewRequest("POST", "http://"+h.settleAddr+"/payments/confirm", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sluice-Timestamp", stamp)
		req.Header.Set("Sluice-Signature", payment.Sign([]byte(key), stamp, []byte(body)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != status || !strings.Contains(string(text), word) {
			t.Errorf("%.100s: %d %s, want %d %s", body, res.StatusCode, text, status, word)
		}
	}
	with := func(amount string) string {
		return fmt.Sprintf(`{"payment":%q,"amount":%s,"reference":"bank-1"}`, name, amount)
	}
	call("another secret, which is as long as that", with("1000"), 0, 401, "forged")
	call(secret, with("1000"), 6*time.Minute, 401, "forged")
	call(secret, with("1000"), -6*time.Minute, 401, "forged")
	for _, amount := range []string{"0", "-1000", "1e400", `"1000"`, "1000.5", "9223372036854775808", "null", "[]"} {
		call(secret, with(amount), 0, 400, "amount")
	}
	for _, amount := range []string{"999", "1001", "1", "9223372036854775807"} {
		call(secret, with(amount), 0, 409, "amount")
	}
	call(secret, `{"amount":1000}`, 0, 400, "payment")
	call(secret, `{"payment":"`+name+`"}`, 0, 400, "amount")
	call(secret, `{"payment":"`+name+`","amount":1000,"colour":"red"}`, 0, 400, "colour")
	call(secret, with("1000")+"x", 0, 400, "malformed")
	call(secret, `{"payment":"`+name+`","amount":1000,"reference":"`+strings.Repeat("r", 257)+`"}`, 0, 400, "reference")
	call(secret, `{"payment":"nobody's","amount":1000}`, 0, 404, "not_found")
	call(secret, strings.Repeat(" ", 20<<10), 0, 413, "body_too_large")
	if a := sender.do(t, "GET", "/v1/redpackets/"+id, ""); a.str("state") != "unpaid" {
		t.Fatalf("%s", a.Body)
	}
	call(secret, with("1000"), 0, 204, "")
	for range 3 { // replayed, and once more for another sum
		call(secret, with("1000"), 0, 204, "")
		call(secret, with("2000"), 0, 409, "amount")
	}
	awaitState(t, sender, id, "open")
	out := mustSluice(t, "redpacket", "reconcile", "-c", h.file, id)
	if !strings.Contains(out, "funded") || asked.Load() == 0 {
		t.Errorf("asked %d times\n%s", asked.Load(), out)
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "funded" && f[1] != "1000" {
			t.Errorf("%s", out)
		}
	}
}

// The commands for pay-outs and statements refuse what they cannot mean, with exit code 2, or 1
// where the file is at fault, and say where.
func TestPayoutAndStatementCommandsRefuseWhatTheyCannotMean(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	f := func(want int, word string, args ...string) {
		t.Helper()
		out, code := sluice(t, append([]string{"redpacket", "--data", r.data}, args...)...)
		if code != want || !strings.Contains(out, word) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", args, code, want, word, out)
		}
	}
	f(2, "--stuck or --retry", "payouts")
	f(2, "--stuck or --retry", "payouts", "--stuck", "--retry")
	f(2, "--stuck", "payouts", "--stuck", "some-key")
	for _, limit := range []string{"0", "-1", "1e400", "12.5", "9223372036854775808", "100001"} {
		f(2, "limit", "payouts", "--stuck", "--limit", limit)
	}
	f(0, "0 shown", "payouts", "--stuck")
	f(1, "", "payouts", "--retry", "no-such-key")

	file := func(text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "statement.csv")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	days := []string{"--from", "2027-02-05", "--to", "2027-02-06"}
	s := func(want int, word, text string) {
		t.Helper()
		f(want, word, append([]string{"statement", file(text)}, days...)...)
	}
	s(1, "header", "")
	s(1, "header", "key,sum\n")
	s(1, "twice", "key,amount,key\n")
	s(1, "line 2", "key,amount\n,5\n")
	for _, amount := range []string{"-1", "9223372036854775808", "1e400", "12.5", `""`, "x"} {
		s(1, "line 2", "key,amount\na,"+amount+"\n")
	}
	for _, amount := range []string{"-1", "92233720368547758.08", "1e400", "12.345", "12.", "1,5"} {
		s(1, "line 2", "key,amount_yuan\na,"+amount+"\n")
	}
	s(1, "extra", "key,amount\na,5\n")
	s(0, "0 lines", "key,amount\n")
	empty := file("key,amount\n")
	f(2, "--to", "statement", empty, "--from", "2027-02-06", "--to", "2027-02-05")
	f(2, "--to", "statement", empty, "--from", "2027-02-06", "--to", "2027-02-06")
	f(2, "--from", "statement", empty, "--from", "yesterday", "--to", "2027-02-06")
	f(1, "no such file", "statement", filepath.Join(t.TempDir(), "none.csv"), "--from", "2027-02-05", "--to", "2027-02-06")
}
