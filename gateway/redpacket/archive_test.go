package redpacket

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/admin"
	"sluice/gateway/ledger/remote"
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
		desk := NewArchived(w.desk, w.remote())
		draw := func(want OutcomeKind, req DrawRequest) Outcome {
			t.Helper()
			out, err := desk.Draw(ctx, req)
			if err != nil || out.Kind != want {
				t.Fatalf("%+v: %+v, %v", req, out, err)
			}
			seen, err := desk.Look(ctx, req.ID, req.UID)
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
