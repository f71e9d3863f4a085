package redpacket

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/cachesync/changelog"
	"sluice/gateway/ledger"
)

// fundApart funds until a red packet is in another bucket than the one given.
func (w *world) fundApart(from ID) ID {
	w.t.Helper()
	for range 100 {
		if id := w.fund(twenty); id.Bucket() != from.Bucket() {
			return id
		}
	}
	w.t.Fatal("a hundred red packets in one bucket")
	return ID{}
}

// An entry of a win stream that does not read as an event freezes its own bucket, and raises the
// alarm; the others are settled.
func TestAnEventThatDoesNotParseFreezesItsOwnBucketOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		sick := w.fund(twenty)
		well := w.fundApart(sick)
		var alarms []*ledger.FreezeError
		w.settler.Hooks.Frozen = func(f *ledger.FreezeError) { alarms = append(alarms, f) }
		w.draw(sick, "a")
		seq := w.draw(well, "a").Pos.Seq
		w.must(w.rdb.Do(ctx, "XADD", changelog.WinKey(sick.Bucket()), "1-9000", "p", "nonsense").Err())
		w.draw(well, "b")
		w.settle()
		known, err := w.ledger.Positions(ctx, 1)
		w.must(err)
		if f := known[sick.Bucket()].Frozen; f == nil || len(alarms) != 1 {
			t.Fatalf("frozen: %v, alarms %v", f, alarms)
		}
		if b := known[well.Bucket()]; b.Frozen != nil || b.Position.Seq <= seq {
			t.Fatalf("the other bucket: %+v", b)
		}
		if _, err := w.ledger.Award(ctx, sick.String(), "a", "1"); err != nil { // what stood before it is posted
			t.Fatal(err)
		}
		w.clean(well)
		w.must(w.certifier.Step(ctx)) // fences it
		if err := drawErr(w, sick, "b"); !errors.Is(err, ErrFenced) {
			t.Fatalf("a frozen bucket answered %v", err)
		}
	})
}

// One bucket that cannot be certified keeps no other waiting, and does not open with them.
func TestABucketThatCannotBeCertifiedIsSkippedAndFrozen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		sick := w.fund(twenty)
		well := w.fundApart(sick)
		w.draw(sick, "a")
		w.draw(well, "a")
		w.settle()
		w.must(w.rdb.Do(ctx, "XADD", changelog.WinKey(sick.Bucket()), "1-9000", "p", "nonsense").Err())
		w.must(w.rdb.ScriptFlush(ctx).Err()) // as a restart does
		if err := w.certifier.Step(ctx); !errors.Is(err, ErrFrozen) {
			t.Fatalf("%v", err)
		}
		if out := w.draw(well, "b"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		if err := drawErr(w, sick, "b"); !errors.Is(err, ErrFenced) {
			t.Fatalf("a bucket that could not be certified answered %v", err)
		}
		epoch := w.epoch(sick)
		for range 20 { // frozen: no try is made any more, no epoch used
			w.must(w.certifier.Step(ctx))
		}
		if now := w.epoch(sick); now != epoch {
			t.Fatalf("epoch %d became %d", epoch, now)
		}
		w.must(w.rdb.XDel(ctx, changelog.WinKey(sick.Bucket()), "1-9000").Err()) // an operator mends, and certifies
		if _, err := w.certifier.Certify(ctx, []int{sick.Bucket()}); err != nil {
			t.Fatal(err)
		}
		if out := w.insist(sick, "b"); out.Kind != Won {
			t.Fatalf("%+v", out)
		}
		w.settle()
		w.clean(sick)
		w.clean(well)
	})
}

func (w *world) epoch(id ID) uint64 {
	w.t.Helper()
	e, err := w.rdb.HGet(context.Background(), changelog.MetaKey(id.Bucket()), "epoch").Uint64()
	w.must(err)
	return e
}

// failingCertify is a ledger that refuses the certificates of one bucket.
type failingCertify struct {
	ledger.Store
	bucket int
}

var errNoCertificate = errors.New("no certificate today")

func (f failingCertify) Certify(ctx context.Context, c ledger.Certificate) error {
	if c.Bucket == f.bucket {
		return errNoCertificate
	}
	return f.Store.Certify(ctx, c)
}

// What is not the bucket's own fault is tried again, but ever more seldom: epochs are few.
// A settler that posts and trims the tail while the certifier is about to do so leaves no gap: the
// ledger has it.
func TestATailThatASettlerPostedMeanwhileFreezesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		w.draw(id, "a")
		w.settle()
		before, err := w.ledger.Positions(ctx, 1)
		w.must(err)
		for _, uid := range []string{"b", "c", "d"} {
			w.draw(id, uid)
		}
		w.settle()
		w.settler.trimAt = time.Time{}
		w.settle()
		var r BucketReport
		l, err := w.certifier.tail(ctx, id.Bucket(), before[id.Bucket()], &r)
		w.must(err)
		after, err := w.ledger.Positions(ctx, 1)
		w.must(err)
		if l.Position != after[id.Bucket()].Position || r.Posted != 0 {
			t.Fatalf("%+v, and the ledger is at %v", l, after[id.Bucket()].Position)
		}
	})
}

func TestTriesToCertifyRestEverLonger(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	w.certifier.Ledger = failingCertify{w.ledger, id.Bucket()}
	now := time.Now()
	w.house.now = func() time.Time { return now }
	w.must(w.rdb.ScriptFlush(ctx).Err())
	if err := w.certifier.Step(ctx); !errors.Is(err, errNoCertificate) {
		t.Fatal(err)
	}
	before := w.epoch(id)
	for end := now.Add(24 * time.Hour); now.Before(end); {
		now = w.certifier.tries[id.Bucket()].until // until then it is left alone
		w.certifier.Step(ctx)
	}
	if used := w.epoch(id) - before; used > manyTries+24*12 {
		t.Errorf("%d epochs in a day", used)
	}
	w.certifier.Ledger = w.ledger
	now = now.Add(longRest)
	w.must(w.certifier.Step(ctx))
	if out := w.insist(id, "a"); out.Kind != Won {
		t.Fatalf("%+v", out)
	}
}

// 4,095 starts of `sluice run` on one data folder would use up the epochs.
func TestEmbeddedHouseStartsInTheSameEpochAgain(t *testing.T) {
	ctx := context.Background()
	m := miniredis.RunT(t)
	w := newWorld(t, m.Addr(), true)
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	for i := range 5 { // starts
		if out := w.draw(id, uidOf(i)); out.Kind != Won || out.Share != int64(i) || out.Pos.Epoch != 1 {
			t.Fatalf("start %d: %+v", i, out)
		}
		w.settle()
		if i%2 == 1 { // won, told nobody, and gone with the process
			w.draw(id, "ghost")
		}
		m.FlushAll()
		w.rdb.ScriptFlush(ctx)
		w.must(w.certifier.Step(ctx))
		w.settle()
		w.clean(id)
	}
	if out := w.draw(id, uidOf(0)); out.Kind != Already || out.Share != 0 {
		t.Fatalf("%+v", out)
	}
}
