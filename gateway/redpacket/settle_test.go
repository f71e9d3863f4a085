package redpacket

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestASettlerThatComesLateFreezesNothing(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	late, err := NewSettler(w.settler.SettlerConfig)
	w.must(err)
	w.must(late.Step(ctx))
	// Another settler posts and trims between two reads of this one, again and again.
	for i := range 5 {
		w.draw(id, uidOf(2*i))
		w.draw(id, uidOf(2*i+1))
		w.settle()
		w.settler.trimAt = time.Time{}
		w.settle()
		w.must(late.Step(ctx)) // goes on from where it was
		w.must(late.Step(ctx)) // has looked where the ledger is
	}
	known, err := w.ledger.Positions(ctx, 1)
	w.must(err)
	if f := known[id.Bucket()].Frozen; f != nil {
		t.Errorf("a bucket that has no gap is frozen: %v", f)
	}
	w.clean(id)
}
