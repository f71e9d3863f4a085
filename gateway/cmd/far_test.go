package cmd

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/admin"
	"sluice/gateway/config"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/redpacket"
)

// A red packet that its home has forgotten is asked for at the ledger of that home, from whatever region.
func TestTheLedgerOfAFarHomeAnswersForWhatIsForgotten(t *testing.T) {
	ctx := context.Background()
	cfg := config.Default()
	cfg.Secret, cfg.Admin.Token = "0123456789abcdef0123456789abcdef", "a token of 16 bytes"
	log := slog.New(slog.DiscardHandler)
	server, err := admin.New("127.0.0.1:0", cfg.Admin.Token, prometheus.NewRegistry(), log)
	if err != nil {
		t.Fatal(err)
	}
	far, own := memory.New(memory.Options{}), memory.New(memory.Options{})
	remote.Serve(server, far)
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { server.Run(running); close(done) }()
	t.Cleanup(func() { stop(); <-done; http.DefaultClient.CloseIdleConnections() })
	cfg.Ledger.Far = map[int]string{2: "http://" + server.Addr()}
	p, err := openParts(cfg, log, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()

	put := func(l ledger.Store, home int) redpacket.ID {
		t.Helper()
		id := p.ids.Derive(uint8(home), "sender", "order-1")
		now := time.Now().UTC().Truncate(time.Millisecond)
		_, _, err := l.PutRedPacket(ctx, ledger.RedPacket{ID: id.String(), Sender: "sender", Home: home, Bucket: id.Bucket(), Mode: "lucky",
			Audience: "anyone", Lock: "none", Amount: 100, Count: 1, Min: 50, Max: 200, CreatedAt: now, OpensAt: now, ClosesAt: now.Add(time.Hour),
			Seed: make([]byte, 32), SeedHash: make([]byte, 32), Spec: []byte(`{"amount":100,"count":1,"mode":"lucky"}`), BodyHash: []byte("x"),
			State: ledger.Unpaid})
		if err == nil {
			_, _, err = l.PutPayment(ctx, ledger.Payment{ID: "p1", RedPacket: id.String(), Provider: "test", Amount: 100, State: ledger.PaymentAsked, AskedAt: now})
		}
		if err == nil {
			err = l.ExpirePayment(ctx, "p1", now.Add(time.Minute))
		}
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	near, distant, nowhere := put(own, 1), put(far, 2), p.ids.Derive(3, "sender", "order-1")
	desk := redpacket.NewArchived(forgetful{}, p.archives(own), p.ids)
	for _, id := range []redpacket.ID{near, distant} {
		if st, err := desk.Show(ctx, id); err != nil || st.State != redpacket.StateExpired || st.Amount != 100 {
			t.Errorf("home %d: %+v, %v", id.Home(), st, err)
		}
	}
	if _, err := desk.Show(ctx, nowhere); !errors.Is(err, redpacket.ErrNotFound) {
		t.Errorf("a home whose ledger nobody knows: %v", err)
	}
	cfg.Ledger.Far = nil
	if p.cfg = cfg; p.archives(nil) != nil {
		t.Error("an archive without any ledger")
	}
}

// forgetful is a desk whose homes have forgotten everything.
type forgetful struct{ redpacket.Desk }

func (forgetful) Show(context.Context, redpacket.ID) (redpacket.State, error) {
	return redpacket.State{}, redpacket.ErrNotFound
}
