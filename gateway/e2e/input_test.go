package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestBadInputGetsAClearAnswer(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	user := newClient(h.addr, mustSluice(t, "token", "-c", h.file, "--uid", "u1"))
	sender := newClient(h.addr, h.token("sender", "fund"))
	nobody := newClient(h.addr, "")
	forged := newClient(h.addr, user.token[:len(user.token)-4]+"AAAA")
	id := fund(t, sender, `{"amount":1000,"count":5}`)

	f := func(c *client, method, path, body string, status int, code string, header ...string) {
		t.Helper()
		a := c.do(t, method, path, body, header...)
		if a.Status != status || a.str("error", "code") != code {
			t.Errorf("%s %.60s %.80s: %d %s, want %d %s", method, path, body, a.Status, a.Body, status, code)
		}
		if a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %.60s: no request id", method, path)
		}
	}
	fundTo := func(body string, status int, code string) {
		t.Helper()
		f(sender, "POST", "/v1/redpackets", body, status, code)
	}
	fundTo(``, 400, "malformed")
	fundTo(`{`, 400, "malformed")
	fundTo(`[]`, 400, "malformed")
	fundTo(`{"amount":1000,"count":5} x`, 400, "malformed")
	fundTo(`{"amount":1000,"count":5,"colour":"red"}`, 400, "unknown_field")
	fundTo(`{"count":5}`, 400, "missing")
	fundTo(`{"amount":"1000","count":5}`, 400, "not_integer")
	fundTo(`{"amount":12.5,"count":5}`, 400, "not_integer")
	fundTo(`{"amount":1e400,"count":5}`, 400, "not_integer")
	fundTo(`{"amount":0,"count":5}`, 400, "too_small")
	fundTo(`{"amount":-1,"count":5}`, 400, "too_small")
	fundTo(`{"amount":1000,"count":0}`, 400, "too_small")
	fundTo(`{"amount":9223372036854775808,"count":5}`, 400, "too_large")
	fundTo(`{"amount":100,"count":5}`, 400, "infeasible")
	fundTo(`{"amount":1000,"count":5,"mode":"poker"}`, 400, "invalid")
	fundTo(`{"amount":1000,"count":5,"opens_at":"tomorrow"}`, 400, "invalid")
	fundTo(`{"amount":1000,"count":5,"password":"`+strings.Repeat("x", 1000)+`"}`, 400, "too_large")
	fundTo(`{"amount":1000,"count":5,"password":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "body_too_large")
	f(user, "POST", "/v1/redpackets", `{"amount":1000,"count":5}`, 403, "scope")
	f(nobody, "POST", "/v1/redpackets", `{}`, 401, "unauthorized")
	f(forged, "POST", "/v1/redpackets", `{}`, 401, "unauthorized")

	draw := "/v1/redpackets/" + id + "/draw"
	f(nobody, "POST", draw, "", 401, "unauthorized")
	f(user, "POST", draw, "{", 400, "malformed")
	f(user, "POST", draw, `{"pass":"x"}`, 400, "unknown_field")
	f(user, "GET", draw, "", 405, "method_not_allowed")
	f(user, "POST", "/v1/redpackets/"+strings.Repeat("a", 24)+"/draw", "", 404, "not_found")
	f(user, "POST", "/v1/redpackets/short/draw", "", 404, "not_found")
	for _, bad := range []string{"a%20b", "a%0Ab", "a{b}", "%E4%BD%A0", strings.Repeat("x", 10<<10)} {
		f(user, "POST", "/v1/redpackets/"+bad+"/draw", "", 400, "bad_id")
		f(user, "POST", "/v1/rooms/"+bad+"/enter", "", 400, "bad_id")
	}
	f(user, "GET", "/v2/nothing", "", 404, "no_route")
	f(user, "POST", "/v1/rooms/nowhere/enter", "", 404, "not_found")
	f(user, "GET", "/v1/me/wins", "", 431, "headers_too_large", "X-Flood", strings.Repeat("x", 64<<10))

	a := sender.do(t, "POST", "/v1/redpackets", `{"amount":1000,"count":5,"opens_at":"2099-01-01T00:00:00Z","closes_at":"2099-01-02T00:00:00Z"}`)
	if a.Status != 202 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	awaitState(t, sender, a.str("id"), "scheduled")
	a = user.do(t, "POST", "/v1/redpackets/"+a.str("id")+"/draw", "")
	if a.Status != 200 || a.str("outcome") != "notopen" || a.str("opens_at") != "2099-01-01T00:00:00.000Z" || a.str("now") == "" {
		t.Errorf("before opens_at: %d %s", a.Status, a.Body)
	}
	mustSluice(t, "redpacket", "close", "-c", h.file, id)
	if a = user.do(t, "POST", draw, ""); a.Status != 200 || a.str("outcome") != "closed" || a.JSON["amount"] != nil {
		t.Errorf("after close: %d %s", a.Status, a.Body)
	}
}

func TestAnIdempotencyKeyIsOneRedPacket(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	sender := newClient(h.addr, h.token("sender", "fund"))
	key := []string{"Idempotency-Key", "order-1"}
	first := sender.do(t, "POST", "/v1/redpackets", `{"amount":1000,"count":5}`, key...)
	again := sender.do(t, "POST", "/v1/redpackets", `{"count":5, "amount":1000}`, key...)
	if first.Status != 202 || again.Status != 202 || first.str("id") != again.str("id") {
		t.Errorf("%s then %s", first.Body, again.Body)
	}
	if a := sender.do(t, "POST", "/v1/redpackets", `{"amount":1001,"count":5}`, key...); a.Status != 409 || a.str("error", "code") != "idempotency_conflict" {
		t.Errorf("another body: %d %s", a.Status, a.Body)
	}
}

// Redis has forgotten the red packet, which its home does a day after close; the ledger has not.
func TestAnIdempotencyKeyOutlivesItsRedPacket(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	sender := newClient(h.addr, h.token("sender", "fund"))
	key := []string{"Idempotency-Key", "order-1"}
	const body = `{"amount":1000,"count":5}`
	id := fund(t, sender, body, key...)
	mustSluice(t, "redpacket", "close", "-c", h.file, id)
	eventually(t, 20*time.Second, func() error {
		if out := mustSluice(t, "redpacket", "reconcile", "-c", h.file, id); zero(out, "refunded") {
			return errors.New(out)
		}
		return nil
	})
	rdb := redis.NewClient(&redis.Options{Addr: h.redis.Addr})
	defer rdb.Close()
	ctx := context.Background()
	keys, err := rdb.Keys(ctx, "*"+id+"*").Result()
	if err == nil {
		err = rdb.Del(ctx, keys...).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := sender.do(t, "POST", "/v1/redpackets", `{"amount":1001,"count":5}`, key...); a.Status != 409 || a.str("error", "code") != "idempotency_conflict" {
			t.Errorf("another body: %d %s", a.Status, a.Body)
		}
		if a := sender.do(t, "POST", "/v1/redpackets", body, key...); a.Status != 202 || a.str("id") != id || a.str("state") != "closed" {
			t.Errorf("the same body: %d %s", a.Status, a.Body)
		}
	}
	if n := h.redPackets(); n != 0 {
		t.Errorf("%d red packets stand in Redis again", n)
	}
	fund := func(body string) (string, int) {
		return sluice(t, "redpacket", "fund", "-c", h.file, "--uid", "sender", "--key", "order-1", "--body", body)
	}
	if out, code := fund(body); code != 0 || strings.TrimSpace(out) != id {
		t.Errorf("sluice redpacket fund: exit %d, %s", code, out)
	}
	if out, code := fund(`{"amount":1001,"count":5}`); code != 1 || !strings.Contains(out, "another body") {
		t.Errorf("sluice redpacket fund, another body: exit %d, %s", code, out)
	}
}

func TestSlowAndSilentConnectionsAreCut(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	f := func(name, sent string) {
		wg.Go(func() {
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, sent)
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("%s: not cut: %v", name, err)
			}
		})
	}
	f("half a header", "GET /v1/me/wins HTTP/1.1\r\nHost: x\r\nX-")
	f("half a body", "POST /v1/redpackets HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	f("no HTTP", "hello\r\n\r\n")
}
