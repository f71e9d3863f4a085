package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
)

// differential drives a store and ledger/memory with the same events and
// compares. One store serves all runs: each uses a home and red packets of its
// own.
func differential(t *testing.T, open Open) {
	h := newHouse(t, open)
	defer h.l.Close()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		twin := memory.New(memory.Options{Now: h.clock})
		p := &pair{T: t, h: h, twin: twin, home: 100 + run, next: map[int]uint64{}}
		for i := range 3 {
			p.fund(i)
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			p.step()
		}
		p.compare()
	})
	h.audit()
}

type pair struct {
	*rapid.T
	h       *house
	twin    ledger.Store
	home    int
	ids     []string
	history []ledger.Batch
	next    map[int]uint64 // last seq told by a bucket's stream
}

func (p *pair) both(what string, f func(ledger.Store) error) {
	a, b := f(p.h.l), f(p.twin)
	if class(a) != class(b) {
		p.Fatalf("%s: store says %v, memory says %v", what, a, b)
	}
}

// class names an error so that two stores can be compared.
func class(err error) string {
	if err == nil {
		return "ok"
	}
	s := ""
	for _, f := range ledger.FreezeErrors(err) {
		s += fmt.Sprintf("freeze %d %s %v;", f.Bucket, f.Kind, f.At)
	}
	for _, e := range []error{ledger.ErrGap, ledger.ErrFenced, ledger.ErrInvalid, ledger.ErrConflict, ledger.ErrNotFound, ledger.ErrState, ledger.ErrAmount} {
		if errors.Is(err, e) {
			s += e.Error() + ";"
		}
	}
	if s == "" {
		return err.Error()
	}
	return s
}

func (p *pair) fund(i int) {
	r := red(fmt.Sprintf("h%d-r%d", p.home, i), 8)
	r.Home, r.Bucket = p.home, i
	p.ids = append(p.ids, r.ID)
	p.both("fund", func(l ledger.Store) error { _, _, err := l.PutRedPacket(context.Background(), r); return err })
}

func (p *pair) step() {
	switch rapid.IntRange(0, 9).Draw(p.T, "what") {
	case 0, 1, 2, 3:
		p.settle(p.fresh())
	case 4, 5:
		p.settle(p.again())
	case 6:
		p.settle(append(p.fresh(), p.again()...))
	case 7:
		p.certify()
	case 8:
		p.pay()
	case 9:
		share := rapid.IntRange(0, 8).Draw(p.T, "held")
		held := []ledger.Held{{RedPacket: p.ids[0], Share: share, Amount: 100, Home: p.home, At: start}}
		p.both("quarantine", func(l ledger.Store) error { return l.Quarantine(context.Background(), held) })
	}
}

func (p *pair) settle(b []ledger.Batch) {
	p.both("settle", func(l ledger.Store) error { return l.Settle(context.Background(), b) })
}

// fresh is the next stretch of one bucket, mostly right, sometimes with a win
// that can't be.
func (p *pair) fresh() []ledger.Batch {
	bucket := rapid.IntRange(0, 2).Draw(p.T, "bucket")
	at, err := p.twin.Positions(context.Background(), p.home)
	if err != nil {
		p.Fatal(err)
	}
	from := at[bucket].Position
	epoch := max(1, at[bucket].Epoch)
	b := ledger.Batch{Home: p.home, Bucket: bucket, From: from, To: ledger.Position{Epoch: epoch, Seq: from.Seq}}
	for range rapid.IntRange(0, 4).Draw(p.T, "events") {
		b.To.Seq++
		id := rapid.SampledFrom(p.ids).Draw(p.T, "id")
		if rapid.IntRange(0, 11).Draw(p.T, "close") == 0 {
			b.Closes = append(b.Closes, ledger.Close{RedPacket: id, Left: rapid.Int64Range(0, 4).Draw(p.T, "left") * 100, At: start, Epoch: epoch, Seq: b.To.Seq})
			continue
		}
		share := rapid.IntRange(0, 8).Draw(p.T, "share")
		w := win(id, share, b.To.Seq)
		w.Epoch = epoch
		w.UID = fmt.Sprintf("h%d-u%d", p.home, rapid.IntRange(0, 20).Draw(p.T, "uid"))
		w.Amount = rapid.SampledFrom([]int64{100, 100, 100, 0, 300}).Draw(p.T, "amount")
		b.Wins = append(b.Wins, w)
	}
	p.history = append(p.history, b)
	return []ledger.Batch{b}
}

// again is some of what was told before: whole, cut, joined, or changed.
func (p *pair) again() (out []ledger.Batch) {
	if len(p.history) == 0 {
		return nil
	}
	for range rapid.IntRange(1, 3).Draw(p.T, "batches") {
		b := rapid.SampledFrom(p.history).Draw(p.T, "old")
		b.Wins = append([]ledger.Win(nil), b.Wins...)
		if len(b.Wins) > 0 {
			i := rapid.IntRange(0, len(b.Wins)-1).Draw(p.T, "which")
			switch rapid.IntRange(0, 5).Draw(p.T, "change") {
			case 0:
				b.Wins[i].UID += "x"
			case 1:
				b.Wins = b.Wins[:i]
			case 2:
				b.Wins[i].Share++
			}
		}
		out = append(out, b)
	}
	return out
}

func (p *pair) certify() {
	ctx := context.Background()
	bucket := rapid.IntRange(0, 2).Draw(p.T, "bucket")
	at, err := p.twin.Positions(ctx, p.home)
	if err != nil {
		p.Fatal(err)
	}
	b := at[bucket]
	c := ledger.Certificate{Home: p.home, Bucket: bucket, Who: "test", At: start, FromEpoch: b.Epoch, ToEpoch: b.Epoch + 1, Position: b.Position}
	p.both("certify", func(l ledger.Store) error { return l.Certify(ctx, c) })
}

// pay claims a few and ends them. The store also holds what earlier runs left,
// so what was claimed can't be compared, only who is paid in the end.
func (p *pair) pay() {
	ctx := context.Background()
	got, err := p.twin.Claim(ctx, rapid.IntRange(1, 4).Draw(p.T, "claim"), time.Minute)
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.h.l.Claim(ctx, 1000, time.Minute); err != nil {
		p.Fatal(err)
	}
	for _, o := range got {
		p.both("done", func(l ledger.Store) error {
			return l.Done(ctx, []ledger.Outcome{{Key: o.Key, Reference: "r", At: start}})
		})
	}
}

func (p *pair) compare() {
	ctx := context.Background()
	for _, id := range p.ids {
		look := func(l ledger.Store) string {
			s := ""
			sums, err := l.Reconcile(ctx, id, func(a *ledger.Award) error {
				s += fmt.Sprintf("%d %s %s %d %d-%d in %d paid %v\n", a.Share, a.UID, a.N, a.Amount, a.Epoch, a.Seq, a.Bucket, a.PayState == ledger.Paid)
				return nil
			})
			if err == nil {
				err = sums.Check()
			}
			if err != nil {
				p.Fatal(err)
			}
			sums.RedPacket.SeedHash = nil
			s += fmt.Sprintf("%s funded %d paid %d payable %d refunding %d refunded %d held %d balance %d awards %d %d closes %v held %v\n", sums.RedPacket.State, sums.Funded, sums.Paid,
				sums.Payable, sums.Refunding, sums.Refunded, sums.Quarantined, sums.Balance, sums.Awards, sums.Awarded, sums.Closes, sums.Held)
			for b := range 3 {
				at := sums.Positions[b]
				s += fmt.Sprintf("bucket %d at %v epoch %d frozen %v\n", b, at.Position, at.Epoch, at.Frozen != nil)
			}
			return s
		}
		if got, want := look(p.h.l), look(p.twin); got != want {
			p.Fatalf("red packet %s\nstore:\n%s\nmemory:\n%s", id, got, want)
		}
	}
}
