package ledgertest

import (
	"fmt"
	"strings"
	"time"

	"sluice/gateway/ledger"
)

func outbox(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 3))
	b, err := h.l.Backlog(h.ctx)
	h.must(err)
	h.eq(say(b.Queued, b.OldestQueued.Equal(win("a", 0, 1).At)), "3 true")
	p, err := h.l.Payout(h.ctx, "a.w1")
	h.must(err)
	h.eq(say(p.State, p.Amount, p.UID, p.Tries), "queued 100 u1 0")
	got := h.claim(2)
	h.eq(say(got[0].Key, got[1].Key, got[0].Kind, got[0].Tries, got[0].Claims, got[0].UID, got[0].N), "a.w0 a.w1 wallet 1 1 u0 1")
	untried := got[0]
	untried.Tries--
	h.must(h.l.Fail(h.ctx, untried, "breaker", h.clock()))
	h.eq(h.claim(1)[0].Tries, 1)
	got[0].Claims++
	h.must(h.l.Fail(h.ctx, got[0], "timeout", h.clock().Add(10*time.Second)))
	h.must(h.l.Dead(h.ctx, got[1], "no such wallet", h.clock().Add(time.Hour)))
	h.eq(len(h.claim(10)), 1) // w2
	h.eq(len(h.claim(10)), 0)
	stuck, err := h.l.Stuck(h.ctx, 10)
	h.must(err)
	h.eq(say(len(stuck), stuck[0].Key, stuck[0].LastError, stuck[1].Key), "2 a.w1 no such wallet a.w0")
	b, err = h.l.Backlog(h.ctx)
	h.must(err)
	h.eq(say(b.Queued, b.Claimed, b.Waiting, b.Dead), "0 1 1 1")
	h.pass(10 * time.Second)
	again := h.claim(10)
	h.eq(say(len(again), again[0].Key, again[0].Tries, again[0].LastError), "1 a.w0 2 timeout")
	h.pass(time.Minute) // every lease has run out: the workers died
	lost := h.claim(10)
	h.eq(len(lost), 2)
	n, err := h.l.Sweep(h.ctx)
	h.must(err)
	h.eq(n, 0)
	h.pass(time.Hour)
	n, err = h.l.Sweep(h.ctx)
	h.must(err)
	h.eq(n, 1)
	for _, p := range h.claim(10) {
		if p.Key == "a.w1" {
			h.eq(say(p.Tries, p.Claims), "1 2")
			h.must(h.l.Dead(h.ctx, p, "again", h.clock().Add(time.Hour)))
			continue
		}
		for range 2 {
			h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: p.Key, Reference: "ref-" + p.Key, At: h.clock()}}))
		}
	}
	h.money("a", "funded 1000 paid 200 payable 100 refunding 0 refunded 0 held 0 balance 700")
	n, err = h.l.Retry(h.ctx, "a.w0", "a.w1")
	h.must(err)
	h.eq(n, 1)
	n, err = h.l.Retry(h.ctx)
	h.must(err)
	h.eq(n, 0)
	h.eq(h.payAll(), 1)
	h.money("a", "funded 1000 paid 300 payable 0 refunding 0 refunded 0 held 0 balance 700")
	var done []string
	h.must(h.l.EachPayout(h.ctx, start, h.clock().Add(time.Second), func(p ledger.Payout) error {
		done = append(done, say(p.Key, p.Reference, p.State))
		return nil
	}))
	h.eq(len(done), 3)
	h.is(h.l.Done(h.ctx, []ledger.Outcome{{Key: "a.w7"}}), ledger.ErrNotFound)
	h.is(h.l.Done(h.ctx, []ledger.Outcome{{Key: "nonsense"}}), ledger.ErrNotFound)
	_, err = h.l.Payout(h.ctx, "a.w9")
	h.is(err, ledger.ErrNotFound)
	p, err = h.l.Payout(h.ctx, "a.w1")
	h.must(err)
	h.eq(say(p.State, p.Reference), "paid ref-a.w1")
}

func outboxLate(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 1))
	slow := h.claim(1)[0]
	h.pass(2 * time.Minute)
	quick := h.claim(1)[0]
	h.eq(quick.Key, slow.Key)
	h.must(h.l.Fail(h.ctx, slow, "late", h.clock())) // not its own any more
	h.eq(len(h.claim(1)), 0)
	h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: quick.Key, Reference: "q", At: h.clock()}}))
	h.must(h.l.Fail(h.ctx, quick, "late", h.clock()))
	h.must(h.l.Dead(h.ctx, slow, "late", h.clock()))
	h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: slow.Key, Reference: "s", At: h.clock()}}))
	p, err := h.l.Payout(h.ctx, quick.Key)
	h.must(err)
	h.eq(say(p.State, p.Reference), "paid q")
	h.money("a", "funded 1000 paid 100 payable 0 refunding 0 refunded 0 held 0 balance 900")
}

func prizes(h *house) {
	r := red("a", 10)
	r.Mode, r.Count = "portal", 0
	_, _, err := h.l.PutRedPacket(h.ctx, r)
	h.must(err)
	b := batch("a", 0, 3)
	b.Wins[0].Amount, b.Wins[0].Prize = 0, "coupon:tea:CODE-1"
	b.Wins[1].Amount, b.Wins[1].Prize = 0, "other:a song"
	for i := range b.Wins {
		b.Wins[i].UID, b.Wins[i].N = "u", fmt.Sprintf("key-%d", i)
	}
	h.settle(b)
	h.settle(b)
	h.money("a", "funded 1000 paid 0 payable 100 refunding 0 refunded 0 held 0 balance 900")
	kinds := []string{}
	for _, p := range h.claim(10) {
		kinds = append(kinds, p.Kind.String()+" "+p.Prize)
		h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: p.Key, At: start}}))
	}
	h.eq(kinds, "[coupon coupon:tea:CODE-1 message other:a song wallet ]")
	h.money("a", "funded 1000 paid 100 payable 0 refunding 0 refunded 0 held 0 balance 900")
	a, err := h.l.Award(h.ctx, "a", "u", "key-0")
	h.must(err)
	h.eq(say(a.Prize, a.PayState), "coupon:tea:CODE-1 paid")
	_, err = h.l.Award(h.ctx, "a", "u", "key-9")
	h.is(err, ledger.ErrNotFound)
	_, err = h.l.Award(h.ctx, "zz", "u", "key-9")
	h.is(err, ledger.ErrNotFound)
}

// A user may be called as those of a rehearsal are: he is paid all the same, unless the sender is one of them too.
func rehearsals(h *house) {
	play := red("play", 2)
	play.Sender = "rehearsal-b-sender"
	_, _, err := h.l.PutRedPacket(h.ctx, play)
	h.must(err)
	h.fund("real", 2)
	b := batch("play", 0, 2)
	b.Wins[0].UID = "rehearsal-b-1"
	real := win("real", 0, 3)
	real.UID = "rehearsal-b-1"
	b.Wins, b.To.Seq = append(b.Wins, real), 3
	h.settle(b)
	h.settle(closing(7, 4, "real", 100))
	var got []string
	for _, p := range h.claim(10) {
		got = append(got, say(p.Key, p.UID, p.Played))
	}
	h.eq(strings.Join(got, "; "), "play.w0 rehearsal-b-1 true; play.w1 u1 false; real.w0 rehearsal-b-1 false; real.r7 sender-real false")
}

func paging(h *house) {
	h.fund("a", 25)
	h.fund("b", 25)
	ba, bb := batch("a", 0, 25), batch("b", 25, 50)
	for i := range bb.Wins {
		bb.Wins[i].Share = i
		bb.Wins[i].UID = fmt.Sprintf("u%d", i)
	}
	h.settle(ba, bb)
	shares, cursor := []int{}, ""
	for {
		wins, next, err := h.l.Wins(h.ctx, "a", cursor, 10)
		h.must(err)
		for _, w := range wins {
			shares = append(shares, w.Share)
		}
		if cursor = next; next == "" {
			break
		}
	}
	h.eq(len(shares), 25)
	h.eq(shares[24], 24)
	_, _, err := h.l.Wins(h.ctx, "zz", "", 10)
	h.is(err, ledger.ErrNotFound)
	_, _, err = h.l.Wins(h.ctx, "a", "-3", 10)
	h.is(err, ledger.ErrInvalid)
	first, next, err := h.l.WinsOf(h.ctx, "u3", "", 1)
	h.must(err)
	h.eq(say(len(first), first[0].RedPacket, first[0].PayState, next != ""), "1 b queued true")
	second, next, err := h.l.WinsOf(h.ctx, "u3", next, 1)
	h.must(err)
	h.eq(say(len(second), second[0].RedPacket, next), "1 a")
	none, next, err := h.l.WinsOf(h.ctx, "nobody", "", 5)
	h.must(err)
	h.eq(say(len(none), next), "0")
	_, _, err = h.l.WinsOf(h.ctx, "u3", "x", 1)
	h.is(err, ledger.ErrInvalid)
}

func corrections(h *house) {
	h.fund("a", 10)
	h.settle(batch("a", 0, 3))
	h.payAll()
	c := ledger.Correction{RedPacket: "a", Number: 1, From: ledger.AccountPaid, To: ledger.AccountSuspense, Amount: 100, Who: "ops", Why: "wallet took it back", At: start}
	for range 2 {
		h.must(h.l.Correct(h.ctx, c))
	}
	s := h.sums("a")
	h.eq(say(s.Paid, s.Suspense, s.Balance), "200 100 700")
	other := c
	other.Amount = 99
	h.is(h.l.Correct(h.ctx, other), ledger.ErrConflict)
	other.Number, other.From, other.Amount = 2, ledger.AccountRedPacket, 701
	h.is(h.l.Correct(h.ctx, other), ledger.ErrAmount)
	other.Amount = 700
	h.must(h.l.Correct(h.ctx, other))
	h.freezes(ledger.FreezeOverdrawn, batch("a", 3, 4)) // nothing is left to win
	other.Number, other.From, other.To = 3, ledger.AccountSuspense, ledger.AccountRedPacket
	h.must(h.l.Correct(h.ctx, other))
	h.eq(h.sums("a").Balance, 700)
	other.Who = ""
	h.is(h.l.Correct(h.ctx, other), ledger.ErrInvalid)
	c.RedPacket = "zz"
	h.is(h.l.Correct(h.ctx, c), ledger.ErrNotFound)
}

func proofs(h *house) {
	h.fund("a", 10)
	_, err := h.l.Proof(h.ctx, "a")
	h.is(err, ledger.ErrNotFound)
	h.must(h.l.PutProof(h.ctx, ledger.Proof{RedPacket: "a", At: start, Document: []byte("one")}))
	h.must(h.l.PutProof(h.ctx, ledger.Proof{RedPacket: "a", At: start, Document: []byte("two")}))
	p, err := h.l.Proof(h.ctx, "a")
	h.must(err)
	h.eq(string(p.Document), "two")
	h.is(h.l.PutProof(h.ctx, ledger.Proof{RedPacket: "zz"}), ledger.ErrNotFound)
}

// A portal of coupons is funded by nothing: its coupons are paid out, and there is not one row of money.
func couponsOnly(h *house) {
	r := red("a", 3)
	r.Mode, r.Amount = "portal", 0
	for _, fresh := range []bool{true, false} {
		stored, created, err := h.l.PutRedPacket(h.ctx, r)
		h.must(err)
		h.eq(say(created, stored.State, stored.Payment), say(fresh, ledger.Funded))
	}
	_, _, err := h.l.PutPayment(h.ctx, ledger.Payment{ID: "p1", RedPacket: "a", Provider: "bank"})
	h.is(err, ledger.ErrInvalid)
	b := batch("a", 0, 2)
	for i := range b.Wins {
		b.Wins[i].Amount, b.Wins[i].Prize = 0, fmt.Sprintf("coupon:tea:CODE-%d", i)
	}
	h.settle(b)
	h.settle(b)
	h.eq(h.payAll(), 2)
	a, err := h.l.Award(h.ctx, "a", "u1", "1")
	h.must(err)
	h.eq(say(a.Prize, a.PayState), "coupon:tea:CODE-1 paid")
	h.settle(ledger.Batch{Home: 1, Bucket: 7, From: b.To, To: ledger.Position{Epoch: 1, Seq: 3},
		Closes: []ledger.Close{{RedPacket: "a", LeftShares: 1, At: start, Epoch: 1, Seq: 3, Reason: "command"}}})
	h.eq(len(h.claim(10)), 0)
	h.state("a", ledger.Closed)
	s := h.sums("a")
	h.eq(say(s.Awards, s.LeftShares, len(s.Closes)), "2 1 1")
	h.money("a", "funded 0 paid 0 payable 0 refunding 0 refunded 0 held 0 balance 0")
	h.must(h.l.EachPayment(h.ctx, time.Time{}, start.Add(time.Hour), func(p ledger.Payment) error { return fmt.Errorf("a payment: %+v", p) }))
	rep, err := h.l.Audit(h.ctx)
	h.must(err)
	h.eq(say(rep.RedPackets, rep.Awards, rep.Postings), "1 2 0")
	// Money does not come out of it.
	b = batch("a", 2, 3)
	b.From, b.To, b.Wins[0].Seq = ledger.Position{Epoch: 1, Seq: 3}, ledger.Position{Epoch: 1, Seq: 4}, 4
	h.freezes(ledger.FreezeOverdrawn, b)
}
