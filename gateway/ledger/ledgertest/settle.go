package ledgertest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"sluice/gateway/ledger"
)

func settleOnce(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 4))
	h.settle(batch("a", 0, 4))                    // the same again
	h.settle(batch("a", 2, 6))                    // overlapping
	h.settle(batch("a", 0, 6), batch("a", 4, 8))  // replay and overlap in one call
	h.settle(batch("a", 9, 10), batch("a", 8, 9)) // two stretches, out of order
	h.settle(ledger.Batch{Home: 1, Bucket: 7, From: ledger.Position{Epoch: 1, Seq: 10}, To: ledger.Position{Epoch: 1, Seq: 12}})
	h.settle()
	h.money("a", "funded 1000 paid 0 payable 1000 refunding 0 refunded 0 held 0 balance 0")
	at, err := h.l.Positions(h.ctx, 1)
	h.must(err)
	h.eq(at[7].Position, "1-12")
	h.eq(at[7].Epoch, 1)
	shares := []int{}
	s, err := h.l.Reconcile(h.ctx, "a", func(a *ledger.Award) error {
		shares = append(shares, a.Share)
		if !a.Win.Same(win("a", a.Share, uint64(a.Share+1))) || a.Bucket != 7 || a.Home != 1 {
			h.Errorf("award %+v", *a)
		}
		return nil
	})
	h.must(err)
	h.eq(shares, "[0 1 2 3 4 5 6 7 8 9]")
	h.eq(say(s.Awards, s.Awarded, s.Positions[7].Position), "10 1000 1-12")
	h.eq(h.payAll(), 10)
	h.money("a", "funded 1000 paid 1000 payable 0 refunding 0 refunded 0 held 0 balance 0")
	ended := errors.New("enough")
	_, err = h.l.Reconcile(h.ctx, "a", func(*ledger.Award) error { return ended })
	h.is(err, ended)
}

func settleGaps(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 2))
	h.is(h.l.Settle(h.ctx, []ledger.Batch{batch("a", 3, 4)}), ledger.ErrGap)
	b := batch("a", 2, 4)
	b.Wins[0], b.Wins[1] = b.Wins[1], b.Wins[0]
	h.is(h.l.Settle(h.ctx, []ledger.Batch{b}), ledger.ErrInvalid)
	b = batch("a", 2, 4)
	b.To.Seq = 3
	h.is(h.l.Settle(h.ctx, []ledger.Batch{b}), ledger.ErrInvalid)
	b = batch("a", 2, 4)
	b.Wins[1].Epoch = 2
	h.is(h.l.Settle(h.ctx, []ledger.Batch{b}), ledger.ErrInvalid)
	b = batch("a", 2, 4)
	b.From, b.To = b.To, b.From
	h.is(h.l.Settle(h.ctx, []ledger.Batch{b}), ledger.ErrInvalid)
	b = batch("a", 2, 3)
	b.To.Epoch, b.Wins[0].Epoch = 2, 2 // nobody certified epoch 2
	h.is(h.l.Settle(h.ctx, []ledger.Batch{b}), ledger.ErrFenced)
	h.settle(batch("a", 2, 4))
	h.eq(h.sums("a").Awards, 4)
}

func settleFreezes(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 4))
	f := func(kind string, change func(b *ledger.Batch)) {
		h.Helper()
		at, err := h.l.Positions(h.ctx, 1)
		h.must(err)
		b := batch("a", 4, 6)
		b.From.Epoch = at[7].Position.Epoch
		b.To.Epoch = at[7].Epoch
		for i := range b.Wins {
			b.Wins[i].Epoch = b.To.Epoch
		}
		change(&b)
		h.freezes(kind, b)
		h.freezes(kind, batch("a", 4, 5)) // still
		h.thaw(7)
		h.money("a", "funded 1000 paid 0 payable 400 refunding 0 refunded 0 held 0 balance 600")
	}
	f(ledger.FreezeContent, func(b *ledger.Batch) { *b = batch("a", 0, 4); b.Wins[2].UID = "thief" })
	f(ledger.FreezeContent, func(b *ledger.Batch) { *b = batch("a", 0, 4); b.Wins[3].Amount = 101 })
	f(ledger.FreezeContent, func(b *ledger.Batch) { *b = batch("a", 0, 4); b.Wins[3].Share = 9 })
	f(ledger.FreezeContent, func(b *ledger.Batch) { *b = batch("a", 0, 4); b.Wins[3].At = start.Add(time.Hour) })
	f(ledger.FreezeContent, func(b *ledger.Batch) { *b = batch("a", 0, 4); b.Wins[3].RedPacket = "zz" })
	f(ledger.FreezeContent, func(b *ledger.Batch) {
		*b = ledger.Batch{Home: 1, Bucket: 7, To: ledger.Position{Epoch: 1, Seq: 4}, Closes: []ledger.Close{{RedPacket: "a", Left: 5, Epoch: 1, Seq: 3, At: start}}}
	})
	f(ledger.FreezeShare, func(b *ledger.Batch) { b.Wins[1].Share = 2 })
	f(ledger.FreezeShare, func(b *ledger.Batch) { b.Wins[1].Share = 4 })
	f(ledger.FreezeUser, func(b *ledger.Batch) { b.Wins[1].UID = "u0" })
	f(ledger.FreezeUser, func(b *ledger.Batch) { b.Wins[1].UID = "u4" })
	f(ledger.FreezeContent, func(b *ledger.Batch) { b.Wins[1].Share = 10 })
	f(ledger.FreezeContent, func(b *ledger.Batch) { b.Wins[1].Share = -1 })
	f(ledger.FreezeContent, func(b *ledger.Batch) { b.Wins[1].Amount = -1 })
	f(ledger.FreezeContent, func(b *ledger.Batch) { b.Wins[1].UID = "" })
	f(ledger.FreezeOrphan, func(b *ledger.Batch) { b.Wins[1].RedPacket = "zz" })
	f(ledger.FreezeOverdrawn, func(b *ledger.Batch) { b.Wins[1].Amount = 501 })
	f(ledger.FreezeOverdrawn, func(b *ledger.Batch) { b.Wins[1].Amount = 1<<63 - 1 })
	h.must(h.l.Freeze(h.ctx, ledger.FreezeError{Home: 1, Bucket: 7, Kind: ledger.FreezeCommand, Detail: "drill"}))
	h.must(h.l.Freeze(h.ctx, ledger.FreezeError{Home: 1, Bucket: 7, Kind: ledger.FreezeRedis}))
	h.freezes(ledger.FreezeCommand, batch("a", 4, 5))
}

func settleIndependent(h *house) {
	h.fund("a", 10)
	h.fund("b", 10)
	other := func(from, to int) ledger.Batch {
		b := batch("b", from, to)
		b.Bucket = 8
		return b
	}
	h.settle(batch("a", 0, 2), other(0, 2))
	bad := batch("a", 2, 4)
	bad.Wins[0].Share = 0
	late := batch("a", 4, 5)
	err := h.l.Settle(h.ctx, []ledger.Batch{bad, other(2, 6), late})
	if fs := ledger.FreezeErrors(err); len(fs) == 0 || fs[0].Kind != ledger.FreezeShare || fs[0].UID != "u2" || fs[0].Share != 0 || fs[0].At.Seq != 3 {
		h.Fatalf("got %v", err)
	}
	h.eq(h.sums("a").Awards, 2)
	h.eq(h.sums("b").Awards, 6)
	at, err := h.l.Positions(h.ctx, 1)
	h.must(err)
	h.eq(say(at[7].Position, at[8].Position), "1-2 1-6")
	at, err = h.l.Positions(h.ctx, 2)
	h.must(err)
	h.eq(len(at), 0)
}

func certify(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 3))
	h.must(h.l.Freeze(h.ctx, ledger.FreezeError{Home: 1, Bucket: 7, Kind: ledger.FreezeCommand}))
	c := ledger.Certificate{Home: 1, Bucket: 7, Who: "ops", At: start, FromEpoch: 1, ToEpoch: 2, Position: ledger.Position{Epoch: 1, Seq: 3}, Posted: 3,
		Quarantined: []ledger.Held{{RedPacket: "a", Share: 3, Amount: 100, Home: 1, Bucket: 7, Epoch: 1, Reason: "AOF was cut", At: start}}, Note: "drill"}
	wrong := c
	wrong.FromEpoch = 0
	h.is(h.l.Certify(h.ctx, wrong), ledger.ErrFenced)
	wrong = c
	wrong.Position.Seq = 2
	h.is(h.l.Certify(h.ctx, wrong), ledger.ErrFenced)
	wrong = c
	wrong.ToEpoch = 1
	h.is(h.l.Certify(h.ctx, wrong), ledger.ErrInvalid)
	wrong = c
	wrong.Quarantined = []ledger.Held{{RedPacket: "a", Share: 4, Amount: 100, At: start}, {RedPacket: "a", Share: 2, Amount: 100}}
	h.is(h.l.Certify(h.ctx, wrong), ledger.ErrConflict) // share 2 is won, and nothing of it is done
	h.must(h.l.Certify(h.ctx, c))
	h.is(h.l.Certify(h.ctx, c), ledger.ErrFenced)
	got, err := h.l.Certificates(h.ctx, 1, 10)
	h.must(err)
	h.eq(len(got), 1)
	h.eq(got[0], c)
	h.money("a", "funded 1000 paid 0 payable 300 refunding 0 refunded 0 held 100 balance 600")
	// What the old Redis still tells is refused, what the new one tells is posted.
	h.is(h.l.Settle(h.ctx, []ledger.Batch{batch("a", 3, 5)}), ledger.ErrFenced)
	h.settle(batch("a", 0, 3))
	b := batch("a", 4, 6)
	b.From = ledger.Position{Epoch: 1, Seq: 3}
	b.To.Epoch = 2
	for i := range b.Wins {
		b.Wins[i].Epoch = 2
	}
	h.settle(b)
	h.settle(b)
	at, err := h.l.Positions(h.ctx, 1)
	h.must(err)
	h.eq(say(at[7].Position, at[7].Epoch, at[7].Frozen == nil), "2-6 2 true")
	// The first certification of a bucket never heard of.
	h.must(h.l.Certify(h.ctx, ledger.Certificate{Home: 1, Bucket: 9, Who: "ops", At: start, ToEpoch: 5}))
	h.is(h.l.Settle(h.ctx, []ledger.Batch{{Home: 1, Bucket: 9, To: ledger.Position{Epoch: 1, Seq: 1}}}), ledger.ErrFenced)
	h.settle(ledger.Batch{Home: 1, Bucket: 9, To: ledger.Position{Epoch: 5, Seq: 1}})
}

func closing(bucket int, seq uint64, id string, left int64) ledger.Batch {
	return ledger.Batch{Home: 1, Bucket: bucket, From: ledger.Position{Epoch: 1, Seq: seq - 1}, To: ledger.Position{Epoch: 1, Seq: seq},
		Closes: []ledger.Close{{RedPacket: id, Left: left, LeftShares: int(left / 100), At: start, Epoch: 1, Seq: seq, Reason: "time"}}}
}

func epochs(h *house) {
	next := func(home int, above, want uint64) {
		h.Helper()
		got, err := h.l.NextEpoch(h.ctx, home, above)
		h.must(err)
		h.eq(got, want)
	}
	next(1, 0, 1)
	next(1, 0, 2)
	next(2, 0, 1)
	next(1, 7, 8)
	next(1, 8, 9)
	next(1, 3, 10)
	var given [8]uint64
	var wg sync.WaitGroup
	for i := range given {
		wg.Go(func() {
			var err error
			if given[i], err = h.l.NextEpoch(h.ctx, 1, 10); err != nil {
				h.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(given[:])
	for i, n := range given {
		h.eq(n, uint64(11+i))
	}
}

func closeOnce(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 4))
	h.settle(closing(7, 5, "a", 600))
	h.settle(closing(7, 5, "a", 600))
	h.state("a", ledger.Closed)
	h.money("a", "funded 1000 paid 0 payable 400 refunding 600 refunded 0 held 0 balance 0")
	s := h.sums("a")
	h.eq(say(len(s.Closes), s.LeftShares, s.Closes[0].Reason), "1 6 time")
	h.freezes(ledger.FreezeClosed, closing(7, 6, "a", 0))
	h.thaw(7)
	h.eq(h.payAll(), 5)
	h.state("a", ledger.Refunded)
	h.money("a", "funded 1000 paid 400 payable 0 refunding 0 refunded 600 held 0 balance 0")
	h.fund("b", 10)
	over := closing(8, 1, "b", 1001)
	h.freezes(ledger.FreezeOverdrawn, over)
	wins := batch("b", 0, 3)
	wins.Bucket = 6
	wins.Closes = []ledger.Close{{RedPacket: "b", Left: 800, Epoch: 1, Seq: 3, At: start}} // 300 won, 700 left
	h.freezes(ledger.FreezeOverdrawn, wins)
	h.money("b", "funded 1000 paid 0 payable 0 refunding 0 refunded 0 held 0 balance 1000")
}

func closeParts(h *house) {
	h.fund("a", 10)
	part := batch("a", 0, 4)
	part.Bucket = 9
	part.Wins = part.Wins[:2]
	// The home bucket's close is posted first, a part's wins and close later.
	h.settle(closing(7, 1, "a", 500))
	h.state("a", ledger.Closed)
	h.eq(h.payAll(), 1)
	h.state("a", ledger.Refunded)
	h.settle(part, closing(9, 5, "a", 300))
	h.state("a", ledger.Closed)
	h.money("a", "funded 1000 paid 0 payable 200 refunding 300 refunded 500 held 0 balance 0")
	h.eq(h.payAll(), 3)
	h.state("a", ledger.Refunded)
	h.money("a", "funded 1000 paid 200 payable 0 refunding 0 refunded 800 held 0 balance 0")
}

func moves(h *house) {
	h.fund("a", 10)
	b := batch("a", 0, 2)
	b.To.Seq = 4
	b.Moves = []ledger.Move{
		{RedPacket: "a", From: 7, To: 8, First: 5, Count: 2, Amount: 200, At: start, Epoch: 1, Seq: 3},
		{RedPacket: "a", From: 7, To: 9, First: 4, Count: 1, Amount: 100, At: start, Epoch: 1, Seq: 4},
	}
	h.settle(b)
	h.settle(b) // the same again
	other := closing(8, 1, "a", 0)
	other.Closes, other.Moves = nil, []ledger.Move{{RedPacket: "a", From: 8, To: 7, First: 6, Count: 1, Amount: 100, At: start, Epoch: 1, Seq: 1}}
	h.settle(other)
	want := append(append([]ledger.Move{}, b.Moves...), other.Moves...)
	got, err := h.l.Moves(h.ctx, "a")
	h.must(err)
	h.eq(got, want)
	h.eq(h.sums("a").Moves, want)
	_, err = h.l.Moves(h.ctx, "zz")
	h.is(err, ledger.ErrNotFound)
	h.money("a", "funded 1000 paid 0 payable 200 refunding 0 refunded 0 held 0 balance 800")
	f := func(kind string, change func(m *ledger.Move)) {
		h.Helper()
		at, err := h.l.Positions(h.ctx, 1)
		h.must(err)
		from, epoch := at[8].Position, at[8].Epoch
		m := ledger.Move{RedPacket: "a", From: 8, To: 7, First: 5, Count: 1, Amount: 100, At: start, Epoch: epoch, Seq: from.Seq + 1}
		change(&m)
		h.freezes(kind, ledger.Batch{Home: 1, Bucket: 8, From: from, To: ledger.Position{Epoch: epoch, Seq: from.Seq + 1}, Moves: []ledger.Move{m}})
		h.thaw(8)
	}
	f(ledger.FreezeOrphan, func(m *ledger.Move) { m.RedPacket = "zz" })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.From = 9 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.To = 8 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.Count = 0 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.Count = 6 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.First, m.Count = 1, 1<<62 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.First = -1 })
	f(ledger.FreezeContent, func(m *ledger.Move) { m.Amount = -1 })
	b.Moves[0].Count = 1 // what is posted, told otherwise
	h.freezes(ledger.FreezeContent, b)
	h.thaw(7)
	h.eq(h.sums("a").Moves, want)
}

func quarantine(h *house) {
	h.fund("a", 10)
	held := func(share int) ledger.Held {
		return ledger.Held{RedPacket: "a", Share: share, Amount: 100, Home: 1, Bucket: 7, Epoch: 1, Reason: "cut", At: start}
	}
	h.settle(batch("a", 0, 2))
	h.must(h.l.Quarantine(h.ctx, []ledger.Held{held(8), held(9), held(8)}))
	h.must(h.l.Quarantine(h.ctx, []ledger.Held{held(8)}))
	more := held(8)
	more.Amount = 90
	h.is(h.l.Quarantine(h.ctx, []ledger.Held{more}), ledger.ErrConflict)
	much := held(5)
	much.Amount = 601
	h.is(h.l.Quarantine(h.ctx, []ledger.Held{much}), ledger.ErrConflict)
	unknown := held(1)
	unknown.RedPacket = "zz"
	h.is(h.l.Quarantine(h.ctx, []ledger.Held{unknown}), ledger.ErrNotFound)
	h.money("a", "funded 1000 paid 0 payable 200 refunding 0 refunded 0 held 200 balance 600")
	all, err := h.l.Quarantined(h.ctx, "")
	h.must(err)
	h.eq(all, []ledger.Held{held(8), held(9)})
	bad := batch("a", 2, 3)
	bad.Wins[0].Share = 9
	h.freezes(ledger.FreezeQuarantined, bad)
	e := h.thaw(7)
	refund := ledger.Release{RedPacket: "a", Share: 8, Who: "ops", Why: "reconciled", At: start}
	h.is(h.l.Release(h.ctx, []ledger.Release{refund}), ledger.ErrState) // still open
	w := win("a", 9, 50)
	award := ledger.Release{RedPacket: "a", Share: 9, Win: &w, Who: "ops", Why: "the user has the answer", At: start}
	twice := win("a", 9, 50)
	twice.UID = "u1"
	h.is(h.l.Release(h.ctx, []ledger.Release{{RedPacket: "a", Share: 9, Win: &twice, Who: "ops"}}), ledger.ErrConflict)
	wrong := win("a", 9, 50)
	wrong.Amount = 99
	h.is(h.l.Release(h.ctx, []ledger.Release{{RedPacket: "a", Share: 9, Win: &wrong, Who: "ops"}}), ledger.ErrInvalid)
	h.is(h.l.Release(h.ctx, []ledger.Release{{RedPacket: "a", Share: 7, Who: "ops"}}), ledger.ErrNotFound)
	for range 2 {
		h.must(h.l.Release(h.ctx, []ledger.Release{award}))
	}
	h.money("a", "funded 1000 paid 0 payable 300 refunding 0 refunded 0 held 100 balance 600")
	c := closing(7, 3, "a", 600)
	c.From = ledger.Position{Epoch: 1, Seq: 2}
	c.To.Epoch, c.Closes[0].Epoch = e, e
	h.settle(c)
	h.eq(h.payAll(), 4)
	h.state("a", ledger.Closed) // one share is still held
	for range 2 {
		h.must(h.l.Release(h.ctx, []ledger.Release{refund}))
	}
	h.is(h.l.Release(h.ctx, []ledger.Release{{RedPacket: "a", Share: 9, Who: "ops"}}), ledger.ErrConflict)
	got := h.claim(10)
	h.eq(len(got), 1)
	h.eq(say(got[0].Key, got[0].UID, got[0].Amount), "a.q8 sender-a 100")
	h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: "a.q8", At: start}}))
	h.state("a", ledger.Refunded)
	h.money("a", "funded 1000 paid 300 payable 0 refunding 0 refunded 700 held 0 balance 0")
	list, err := h.l.Quarantined(h.ctx, "a")
	h.must(err)
	h.eq(say(len(list), list[0].Released, list[1].Released), "2 refund award")
	all, err = h.l.Quarantined(h.ctx, "")
	h.must(err)
	h.eq(len(all), 0)
}

func concurrent(h *house) {
	const buckets, each = 8, 40
	h.fund("a", buckets*each)
	h.fund("b", buckets*each)
	var wg sync.WaitGroup
	for b := range buckets {
		wg.Add(2)
		for range 2 { // two settlers for each bucket, both reading the same stream
			go func() {
				defer wg.Done()
				for i := 0; i < each; i += 10 {
					var wins []ledger.Win
					for j := i; j < i+10; j++ {
						w := win([]string{"a", "b"}[j%2], b*each+j, uint64(j+1))
						wins = append(wins, w)
					}
					x := ledger.Batch{Home: 1, Bucket: b, From: ledger.Position{Epoch: 1, Seq: uint64(i)}, To: ledger.Position{Epoch: 1, Seq: uint64(i + 10)}, Wins: wins}
					x.From.Epoch = min(1, uint64(i))
					if err := h.l.Settle(h.ctx, []ledger.Batch{x}); errors.Is(err, ledger.ErrGap) {
						i -= 10 // the other one is not there yet
					} else if err != nil {
						h.Error(err)
						return
					}
				}
			}()
		}
	}
	paid := make(chan int)
	go func() {
		n := 0
		for range 40 {
			got, err := h.l.Claim(h.ctx, 10, time.Minute)
			if err != nil {
				h.Error(err)
			}
			for _, p := range got {
				if err := h.l.Done(h.ctx, []ledger.Outcome{{Key: p.Key, At: start}}); err != nil {
					h.Error(err)
				}
				n++
			}
		}
		paid <- n
	}()
	wg.Wait()
	n := <-paid
	h.eq(n+h.payAll(), buckets*each)
	h.eq(h.sums("a").Paid+h.sums("b").Paid, buckets*each*100)
}

func closed(h *house) {
	h.must(h.l.Close())
	_, err := h.l.RedPacket(h.ctx, "a")
	h.is(err, ledger.ErrClosed)
	h.is(h.l.Settle(h.ctx, []ledger.Batch{batch("a", 0, 1)}), ledger.ErrClosed)
	h.must(h.l.Close())
}
