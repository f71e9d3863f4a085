package redpacket

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
	"sluice/internal/servers"
)

// world is a home with all its roles, driven step by step.
type world struct {
	t         testing.TB
	rdb       redis.UniversalClient
	ledger    ledger.Store
	house     *House
	desk      *Home
	cache     *sourceReader
	settler   *Settler
	splitter  *SplitWorker
	certifier *Certifier
	closer    *Closer
	ids       *IDs
}

// sourceReader is a cache that has nothing but what its source says, and the w: records
// it was given.
type sourceReader struct {
	source *Source
	wins   map[string]string
	rp     map[string]cachesync.Record // overrides the source
}

func (r *sourceReader) Read(ctx context.Context, reads []cachesync.Read) error {
	for i := range reads {
		rd := &reads[i]
		rd.State, rd.Err = cachesync.Miss, nil
		if rec, ok := r.rp[rd.Key]; ok {
			rd.State, rd.Record = cachesync.Hit, rec
			continue
		}
		if p, ok := r.wins[rd.Key]; ok {
			rd.State, rd.Record = cachesync.Hit, cachesync.Record{Payload: []byte(p)}
			continue
		}
		if rd.NoFill || rd.Key[:2] == "u:" {
			continue
		}
		var source cachesync.Source = r.source
		if rd.Key[:3] == "wf:" {
			source = NewFilterSource(r.source.h)
		}
		filled, err := source.Fill(ctx, []string{rd.Key})
		switch {
		case err != nil:
			rd.State, rd.Err = cachesync.Later, err
		case filled[0].Err != nil:
			rd.Err = filled[0].Err
		default:
			rd.State, rd.Record = cachesync.Hit, filled[0].Record
		}
	}
	return nil
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newWorld(t testing.TB, addr string, trusted bool) *world {
	t.Helper()
	w := &world{t: t}
	client := func() redis.UniversalClient {
		c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, Protocol: 2, ContextTimeoutEnabled: true})
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.rdb = client()
	w.ledger = memory.New(memory.Options{})
	w.build(client, trusted)
	return w
}

func (w *world) build(client func() redis.UniversalClient, trusted bool) {
	t := w.t
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.ids, err = NewIDs([]byte("a secret of 16 bytes or more"))
	ok(err)
	w.house, err = NewHouse(HouseConfig{Home: 1, IDs: w.ids, Control: w.rdb})
	ok(err)
	w.cache = &sourceReader{source: NewSource(w.house), wins: map[string]string{}, rp: map[string]cachesync.Record{}}
	w.desk, err = NewHome(HomeConfig{House: w.house, Cache: w.cache, Filters: NewFilters(w.cache)})
	ok(err)
	w.settler, err = NewSettler(SettlerConfig{House: w.house, Ledger: w.ledger, Freeze: w.ledger.Freeze, Blocking: client(),
		Block: time.Millisecond, Log: quiet})
	ok(err)
	w.splitter, err = NewSplitWorker(SplitWorkerConfig{House: w.house, Ledger: w.ledger, Blocking: client(), Block: time.Millisecond, Log: quiet})
	ok(err)
	w.certifier, err = NewCertifier(CertifierConfig{House: w.house, Ledger: w.ledger, Who: "test", Trusted: trusted, Log: quiet})
	ok(err)
	w.closer, err = NewCloser(CloserConfig{House: w.house, Ledger: w.ledger, Log: quiet})
	ok(err)
}

// each runs f on miniredis and on a real Redis.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("miniredis", func(t *testing.T) {
		w := newWorld(t, miniredis.RunT(t).Addr(), false)
		w.must(w.certifier.Step(context.Background()))
		f(t, w)
	})
	t.Run("redis", func(t *testing.T) {
		w := newWorld(t, servers.Redis(t).Addr, false)
		w.must(w.certifier.Step(context.Background()))
		f(t, w)
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fund funds and opens.
func (w *world) fund(body string) ID {
	w.t.Helper()
	ctx := context.Background()
	req, err := ParseFund([]byte(body))
	w.must(err)
	req.Sender = "sender"
	res, err := w.desk.Fund(ctx, req)
	w.must(err)
	if res.State != StateSplitting || res.Again {
		w.t.Fatalf("funded: %+v", res)
	}
	w.must(w.splitter.Step(ctx))
	return res.ID
}

func (w *world) draw(id ID, uid string) Outcome {
	w.t.Helper()
	out, err := w.desk.Draw(context.Background(), DrawRequest{ID: id, UID: uid})
	w.must(err)
	return out
}

// settle posts all there is.
func (w *world) settle() {
	w.t.Helper()
	for range 4 {
		w.must(w.settler.Step(context.Background()))
	}
}

func (w *world) reconcile(id ID) Report {
	w.t.Helper()
	r, err := Reconcile(context.Background(), w.house, w.ledger, id)
	w.must(err)
	return r
}

func (w *world) clean(id ID) Report {
	w.t.Helper()
	r := w.reconcile(id)
	if !r.Clean() {
		w.t.Fatalf("reconcile: %v", r)
	}
	return r
}

func uidOf(i int) string { return fmt.Sprintf("u%d", i) }

// lookAt is what a look of the desk sees.
func lookAt(desk Desk, ctx context.Context, id ID, uid string) (seen Seen, err error) {
	err = desk.Look(ctx, id, uid, &seen)
	return seen, err
}
