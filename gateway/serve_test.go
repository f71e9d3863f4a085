package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

func TestOnlyAddressesThatOurProxiesSawAreBelieved(t *testing.T) {
	trusted := func(ip net.IP) bool { return ip.IsLoopback() || ip.IsPrivate() }
	f := func(header, want string) {
		t.Helper()
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.Set("X-Forwarded-For", header)
		got := "none"
		if ip := forwardedFor(&ctx, trusted); ip != nil {
			got = ip.String()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	f("203.0.113.7", "203.0.113.7")
	f("198.51.100.1, 203.0.113.7", "203.0.113.7") // the first was made up by the client
	f("203.0.113.7, 10.0.0.1", "203.0.113.7")     // through two of our proxies
	f("10.0.0.2, 10.0.0.1", "10.0.0.2")           // a client of our own net
	f("2001:db8::1", "2001:db8::1")
	f("garbage", "none")
	f("203.0.113.7, garbage", "none")
	f("", "none")
}

func TestTooManyConnectionsAreToldWhenToComeBack(t *testing.T) {
	g := &Gateway{metrics: newMetrics(prometheus.NewRegistry())}
	for hers, status := range map[bool]int{false: 503, true: 429} {
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(g.tooMany(hers))), nil)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Error   struct{ Code string }
			RetryAt time.Time `json:"retry_at"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != status || !r.Close || r.Header.Get("Retry-After") == "" || body.Error.Code != "later" || !body.RetryAt.After(time.Now()) {
			t.Errorf("hers %v: %+v %+v", hers, r, body)
		}
	}
}

func TestRequestIDsAreUnique(t *testing.T) {
	r, seen := newRequestIDs(), map[[16]byte]bool{}
	for range 10_000 {
		var id [16]byte
		r.next(&id)
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
	}
}

func TestForeignRequestIDsMustBeSane(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.Set("X-Request-Id", id)
		if got := foreignID(&ctx) != nil; got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	f("0123456789abcdef", true)
	f("short", false)
	f("with space in it", false)
	f("<script>alert(1)</script>", false)
}
