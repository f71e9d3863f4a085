package redpacket

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/admin"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/postgres"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/ledger/sqlite"
	"sluice/internal/servers"
)

// remote is the ledger as a gateway without a database reaches it.
func (w *world) remote() *remote.Client {
	w.t.Helper()
	server, err := admin.New("127.0.0.1:0", "a token of 16 bytes", prometheus.NewRegistry(), quiet)
	w.must(err)
	remote.Serve(server, w.ledger)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { server.Run(ctx); close(done) }()
	w.t.Cleanup(func() { cancel(); <-done; http.DefaultClient.CloseIdleConnections() })
	return remote.NewClient("http://"+server.Addr(), "a token of 16 bytes")
}

// forgotten closes red packets and lets the closer forget them.
func (w *world) forgotten(ids ...ID) {
	w.t.Helper()
	ctx := context.Background()
	for _, id := range ids {
		_, err := w.desk.Close(ctx, id, "")
		w.must(err)
	}
	w.settle()
	w.house.now = func() time.Time { return time.Now().Add(60 * time.Hour) }
	w.closer.Keep = time.Millisecond // Redis' own clock does not move
	w.must(w.closer.Step(ctx))
	w.house.now = time.Now
	for _, id := range ids {
		if _, err := w.desk.Show(ctx, id); !errors.Is(err, ErrNotFound) {
			w.t.Fatalf("%s is not forgotten: %v", id, err)
		}
	}
}

// What the bucket has forgotten the ledger tells: a win again, `closed` to the rest, the winners.
func TestTheLedgerAnswersForWhatIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		locked := w.fund(`{"amount":1000,"count":2,"password":"open"}`)
		portal := w.fund(`{"mode":"portal","amount":300,"count":2,"prizes":[` +
			`{"name":"cash","amount":300,"count":1,"chance_ppm":1},{"name":"ticket","kind":"coupon","count":1,"chance_ppm":999999,"codes":["c1"]}]}`)
		won := w.draw(id, "a")
		w.draw(id, "b")
		opened, err := w.desk.Draw(ctx, DrawRequest{ID: locked, UID: "a", Password: "open"})
		w.must(err)
		var prize Outcome
		var key string
		for i := 0; prize.Kind != Won && i < 200; i++ { // budgets are let out over time
			key = uidOf(i)
			prize, err = w.desk.Draw(ctx, DrawRequest{ID: portal, UID: uidOf(i), N: key})
			w.must(err)
			time.Sleep(time.Millisecond)
		}
		w.forgotten(id, locked, portal)
		desk := NewArchived(w.desk, w.remote(), w.ids)
		draw := func(want OutcomeKind, req DrawRequest) Outcome {
			t.Helper()
			out, err := desk.Draw(ctx, req)
			if err != nil || out.Kind != want {
				t.Fatalf("%+v: %+v, %v", req, out, err)
			}
			seen, err := lookAt(desk, ctx, req.ID, req.UID)
			w.must(err)
			if early, ok := seen.Decide(); ok && early.Kind != want {
				t.Fatalf("%+v: Look decides %+v", req, early)
			}
			return out
		}
		if out := draw(Already, DrawRequest{ID: id, UID: "a"}); out.Share != won.Share || out.Amount != won.Amount {
			t.Fatalf("%+v, won was %+v", out, won)
		}
		draw(Closed, DrawRequest{ID: id, UID: "stranger"})
		if out := draw(Already, DrawRequest{ID: locked, UID: "a"}); out.Amount != opened.Amount {
			t.Fatalf("%+v, won was %+v", out, opened)
		}
		if prize.Kind == Won {
			if out := draw(Already, DrawRequest{ID: portal, UID: key, N: key}); out.Prize != prize.Prize || out.Code != prize.Code {
				t.Fatalf("%+v, won was %+v", out, prize)
			}
		}
		draw(Closed, DrawRequest{ID: portal, UID: "stranger", N: "n"})
		st, err := desk.Show(ctx, id)
		if err != nil || st.State != StateClosed || st.Count != 20 || st.Seed == "" {
			t.Fatalf("%+v, %v", st, err)
		}
		page, err := desk.Winners(ctx, id, "")
		if err != nil || len(page.Winners) != 2 || page.Winners[0].UID != "a" || page.Next != "" {
			t.Fatalf("%+v, %v", page, err)
		}
		var field *FieldError
		for _, page := range []string{"0.5", "l.nonsense"} {
			if _, err := desk.Winners(ctx, id, page); !errors.As(err, &field) || field.Field != "page" {
				t.Errorf("page %q: %v", page, err)
			}
		}
		never, err := w.ids.New(1, bytes.NewReader(make([]byte, 64)))
		w.must(err)
		if _, err := desk.Draw(ctx, DrawRequest{ID: never, UID: "a"}); !errors.Is(err, ErrNotFound) {
			t.Fatalf("what never was: %v", err)
		}
	})
}

// The key of a fund request stays its own when its red packet is forgotten: the ledger knows the body.
func TestTheKeyOfAForgottenRedPacketStaysItsOwn(t *testing.T) {
	f := func(t *testing.T, open func() (ledger.Store, error)) {
		server := servers.Redis(t)
		w := newWorld(t, server.Addr, false)
		ctx := context.Background()
		store, err := open()
		w.must(err)
		w.onLedger(server.Addr, store)
		w.must(w.certifier.Step(ctx))
		payer := &slowPayer{}
		desk := NewArchived(w.desk, w.remote(), w.ids)
		fund := func(key, body string) (FundResult, error) {
			t.Helper()
			req, err := ParseFund([]byte(body))
			w.must(err)
			req.Sender, req.Key, req.Home = "sender", key, 1
			return desk.Fund(ctx, req)
		}
		const other, coupons = `{"amount":4000,"count":8,"parts":2}`, `{"amount":0,"count":1,"mode":"portal","prizes":[{"name":"tea","kind":"coupon","count":1,"chance_ppm":5}]}`
		bodies := map[string]string{"paid": twenty, "unpaid": twenty, "coupons": coupons}
		want := map[string]string{"paid": StateClosed, "unpaid": StateExpired, "coupons": StateClosed}
		first := map[string]FundResult{}
		again := func(when string, state func(key string) string) {
			t.Helper()
			for key, body := range bodies {
				if res, err := fund(key, body); err != nil || res.ID != first[key].ID || res.State != state(key) || !res.Again {
					t.Errorf("%s, %s: %+v, %v", key, when, res, err)
				}
				if res, err := fund(key, other); !errors.Is(err, ErrConflict) {
					t.Errorf("%s, another body, %s: %+v, %v", key, when, res, err)
				}
			}
		}
		for key, body := range bodies {
			res, err := fund(key, body)
			if err != nil || res.Again {
				t.Fatalf("%s: %+v, %v", key, res, err)
			}
			first[key] = res
			if key == "unpaid" {
				w.splitter.Provider, w.splitter.PayWithin = payer, time.Nanosecond
			} else {
				w.splitter.Provider, w.splitter.PayWithin = Auto{}, time.Hour
			}
			w.must(w.splitter.Step(ctx))
			if key == "unpaid" {
				time.Sleep(2 * time.Millisecond)
				w.must(w.splitter.Step(ctx))
			}
		}
		again("while the bucket knows it", func(key string) string {
			if key == "unpaid" {
				return StateExpired
			}
			return StateOpen
		})
		w.forgotten(first["paid"].ID, first["coupons"].ID)
		again("forgotten", func(key string) string { return want[key] })
		for key, res := range first {
			if w.inRedis(res.ID) {
				t.Errorf("%s stands in Redis again", key)
			}
		}
		if res, err := fund("a new key", other); err != nil || res.Again || res.State != StateSplitting {
			t.Errorf("a new key: %+v, %v", res, err)
		}
		w.must(store.Close()) // a ledger that does not answer stops no fund request
		if res, err := fund("another new key", other); err != nil || res.Again {
			t.Errorf("without the ledger: %+v, %v", res, err)
		}
	}
	ctx := context.Background()
	t.Run("sqlite", func(t *testing.T) {
		f(t, func() (ledger.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
		})
	})
	t.Run("postgres", func(t *testing.T) {
		f(t, func() (ledger.Store, error) { return postgres.Open(ctx, postgres.Options{URL: servers.Postgres(t)}) })
	})
}
