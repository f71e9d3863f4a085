package load

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"

	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
)

func serve(t testing.TB, h fasthttp.RequestHandler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: h}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { ln.Close() })
	return "http://" + ln.Addr().String()
}

func hello(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") }

func single(t testing.TB, path string) *scenario.Program {
	t.Helper()
	p, err := scenario.Single("GET", path, "", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryArrivalIsSentOnceAndCounted(t *testing.T) {
	var seen atomic.Int64
	url := serve(t, func(ctx *fasthttp.RequestCtx) { seen.Add(1); hello(ctx) })
	for _, fresh := range []bool{false, true} {
		seen.Store(0)
		res, err := Run(t.Context(), Config{Targets: []string{url}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 1000}, Duration: 500 * time.Millisecond,
			Loops: 2, Connections: 4, NewConnections: fresh})
		if err != nil {
			t.Fatal(err)
		}
		if res.Requests != 500 || seen.Load() != 500 || res.Errors != 0 || res.Statuses["200"] != 500 || res.Bytes != 2500 {
			t.Errorf("new connections %v: %d requests, %d seen, %d errors, %v", fresh, res.Requests, seen.Load(), res.Errors, res.Failures)
		}
		if fresh && res.Connects != 500 {
			t.Errorf("%d connections for 500 requests", res.Connects)
		}
	}
}

// A server that answers nothing for F of a run of T: of the requests, (F-L)/T wait longer than L, so
// the quantile q is F - (1-q)*T.
func TestFrozenServerShowsInTheTail(t *testing.T) {
	freeze, run := 5*time.Second, 8*time.Second
	if testing.Short() {
		freeze, run = time.Second, 2*time.Second
	}
	res := frozen(t, freeze, run)
	for again := 0; !res.Valid && again < 2; again++ {
		res = frozen(t, freeze, run)
	}
	if !res.Valid {
		t.Skipf("this machine is too busy to tell: %v", res.Invalid)
	}
	for _, q := range []float64{0.9, 0.99, 0.999} {
		want := freeze.Seconds() - (1-q)*run.Seconds()
		if got := res.Latency.At(q*100) / 1e6; math.Abs(got-want) > 0.05*want {
			t.Errorf("p%g is %.3f s, theory %.3f s", q*100, got, want)
		}
	}
	if res.Errors != 0 || res.Requests != int64(500*run.Seconds()) {
		t.Errorf("%d requests, %v", res.Requests, res.Failures)
	}
	if svc := res.Wait.Max; svc < 1e5 {
		t.Errorf("64 connections cannot have held all that waited; wait max is %g us", svc)
	}
}

// frozen is a run against a server that answers nothing for a while from its second second on.
func frozen(t *testing.T, freeze, run time.Duration) *record.Result {
	var gate sync.RWMutex
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		gate.RLock()
		defer gate.RUnlock()
		hello(ctx)
	})
	start := time.Now()
	go func() {
		time.Sleep(time.Second)
		gate.Lock()
		time.Sleep(freeze)
		gate.Unlock()
	}()
	res, err := Run(t.Context(), Config{Targets: []string{url}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 500}, Duration: run, Connections: 16, MaxConnections: 64, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %s; lag p99 %g us", time.Since(start), res.Lag.P99)
	return res
}

func TestScenarioExtractsRepeatsAndSignsTokens(t *testing.T) {
	secret := []byte("a secret of at least 32 characters!")
	var mu sync.Mutex
	draws := map[string]int{}
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		text := strings.TrimPrefix(string(ctx.Request.Header.Peek("Authorization")), "Bearer ")
		tok, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return secret, nil })
		if err != nil {
			ctx.SetStatusCode(401)
			return
		}
		claims := tok.Claims.(jwt.MapClaims)
		uid := claims["sub"].(string)
		switch path := string(ctx.Path()); {
		case path == "/v1/redpackets" && ctx.IsPost():
			if claims["scope"] != "fund" || !bytes.Contains(ctx.PostBody(), []byte(`"amount":1000`)) {
				ctx.SetStatusCode(403)
				return
			}
			ctx.SetStatusCode(202)
			fmt.Fprintf(ctx, `{"id":"rp-%s","state":"splitting"}`, uid)
		case path == "/v1/redpackets/rp-"+uid+"/draw":
			mu.Lock()
			defer mu.Unlock()
			if draws[uid]++; draws[uid] < 3 {
				fmt.Fprint(ctx, `{"outcome":"notopen"}`)
			} else {
				fmt.Fprint(ctx, `{"outcome":"won","amount":7}`)
			}
		default:
			ctx.SetStatusCode(404)
		}
	})
	prog, err := scenario.Parse([]byte(`
name: s
users: {prefix: u, count: 50}
steps:
  - fund: {amount: 1000, count: 5}
  - think: 1ms..5ms
  - repeat:
      times: 10
      until: [won]
      steps:
        - draw: {redpacket: "${rp}", expect: {outcomes: [won, notopen]}}
        - think: 1ms
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var funded atomic.Int64
	res, err := Run(t.Context(), Config{Targets: []string{url}, Program: prog, Curve: arrival.Constant{Rate: 100}, Duration: 500 * time.Millisecond, RunUp: 0,
		Minter: token.New("k", secret, time.Now().Add(time.Hour)), OnFund: func(id string, fen int64) { funded.Add(fen) }})
	if err != nil {
		t.Fatal(err)
	}
	if res.Errors != 0 || funded.Load() != 50*1000 || res.UsersArrived != 50 || res.Outcomes["won"] < 1 || res.Outcomes["notopen"] < 2*res.Outcomes["won"] || res.Outcomes["splitting"] != 50 {
		t.Errorf("errors %v, funded %d, users %d, outcomes %v, statuses %v", res.Failures, funded.Load(), res.UsersArrived, res.Outcomes, res.Statuses)
	}
}

func TestServerFaultsAreErrorsOfTheirKind(t *testing.T) {
	f := func(kind string, h fasthttp.RequestHandler) {
		t.Helper()
		res, err := Run(t.Context(), Config{Targets: []string{serve(t, h)}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 200}, Duration: 100 * time.Millisecond, Timeout: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if res.Failures[kind] != 20 || res.Errors != 20 {
			t.Errorf("%s: %v of %d", kind, res.Failures, res.Requests)
		}
	}
	f("timeout", func(ctx *fasthttp.RequestCtx) { time.Sleep(300 * time.Millisecond) })
	f("unexpected", func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(500) })
	f("broken", func(ctx *fasthttp.RequestCtx) {
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(c net.Conn) { c.Close() })
	})
}

func TestRefusedConnectionsAreReportedAtOnce(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	url := "http://" + ln.Addr().String()
	ln.Close()
	if _, err := Run(t.Context(), Config{Targets: []string{url}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 1}, Duration: time.Second}); err == nil {
		t.Error("a run against nobody succeeded")
	}
	res, err := Run(t.Context(), Config{Targets: []string{url}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 100}, Duration: 100 * time.Millisecond, NewConnections: true})
	if err != nil || res.Failures["connect"] != 10 {
		t.Errorf("%v, %+v", err, res.Failures)
	}
}

func TestConnectionsThatAreAllUpAreNotTooLate(t *testing.T) {
	if _, err := Run(t.Context(), Config{Targets: []string{serve(t, hello)}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 10}, Duration: 100 * time.Millisecond, Connections: 1, Timeout: time.Nanosecond}); err != nil {
		t.Error(err)
	}
}

func TestCancelEndsTheRunEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	res, err := Run(ctx, Config{Targets: []string{serve(t, hello)}, Program: single(t, "/"), Curve: arrival.Constant{Rate: 100}, Duration: time.Minute})
	if err != nil || time.Since(start) > 30*time.Second || res.Seconds > 30 {
		t.Errorf("%v after %s, %g s", err, time.Since(start), res.Seconds)
	}
	if res.Valid || !strings.Contains(strings.Join(res.Invalid, ""), "interrupted") {
		t.Errorf("what was interrupted is valid: %v", res.Invalid)
	}
}

func TestClosedLoopKeepsEveryConnectionBusyWithoutGarbage(t *testing.T) {
	url := serve(t, hello)
	res, err := Run(t.Context(), Config{Targets: []string{url}, Program: single(t, "/"), Closed: true, Connections: 16, RunUp: 100 * time.Millisecond, Duration: 500 * time.Millisecond})
	if err != nil || res.Errors != 0 || res.Rate < 100 || res.Connects != 16 {
		t.Errorf("%v, %d errors, %g/s, %d connections", err, res.Errors, res.Rate, res.Connects)
	}
	t.Logf("%.0f requests/s, generator and server %.2f us CPU a request", res.Rate, res.Generator.CPUMicrosReq)
}

func TestAFundStepIsAnotherRedPacketInEveryRun(t *testing.T) {
	var mu sync.Mutex
	keys := map[string]int{}
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		keys[string(ctx.Request.Header.Peek("Idempotency-Key"))]++
		fmt.Fprint(ctx, `{"id":"x"}`)
	})
	prog, err := scenario.Parse([]byte("steps: [{fund: {amount: 100, count: 1}}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Run(t.Context(), Config{Targets: []string{url}, Program: prog, Curve: arrival.Constant{Rate: 100}, Duration: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(keys) != 20 {
		t.Errorf("%d keys of 20 red packets", len(keys))
	}
}
