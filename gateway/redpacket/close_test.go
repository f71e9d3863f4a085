package redpacket

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/gateway/ledger"
)

// counting counts the red packets that the ledger was made to read.
type counting struct {
	CloserLedger
	rows int
}

func (c *counting) EachRedPacket(ctx context.Context, f ledger.Filter, fn func(ledger.RedPacket) error) error {
	return c.CloserLedger.EachRedPacket(ctx, f, func(r ledger.RedPacket) error {
		c.rows++
		return fn(r)
	})
}

func TestCloserDoesNotReadAllThatEverWas(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	for range 5 { // of last week
		id := w.fund(twenty)
		_, err := w.desk.Close(ctx, id, "")
		w.must(err)
	}
	w.settle()
	now := time.Now().Add(8 * 24 * time.Hour)
	w.house.now = func() time.Time { return now }
	l := &counting{CloserLedger: w.ledger}
	w.closer.Ledger = l
	for range 10 {
		w.must(w.closer.Step(ctx))
		now = now.Add(time.Minute)
	}
	if l.rows > 5 { // each once, to be forgotten
		t.Errorf("%d rows were read for 5 red packets that closed a week ago", l.rows)
	}
}
