package ledgertest

import (
	"fmt"
	"time"

	"sluice/gateway/ledger"
)

func fundIdempotent(h *house) {
	first := h.fund("a", 10)
	again := red("a", 10)
	again.Seed = []byte("another seed")
	stored, created, err := h.l.PutRedPacket(h.ctx, again)
	h.must(err)
	h.eq(created, false)
	h.eq(string(stored.Seed), "seed-a")
	h.eq(stored, first)
	other := red("a", 10)
	other.BodyHash = []byte("other body")
	stored, _, err = h.l.PutRedPacket(h.ctx, other)
	h.is(err, ledger.ErrConflict)
	h.eq(stored.ID, "a")
	h.money("a", "funded 1000 paid 0 payable 0 refunding 0 refunded 0 held 0 balance 1000")
	got, err := h.l.RedPacket(h.ctx, "a")
	h.must(err)
	h.eq(got, first)
	_, err = h.l.RedPacket(h.ctx, "b")
	h.is(err, ledger.ErrNotFound)
	p, err := h.l.Payment(h.ctx, "a")
	h.must(err)
	h.eq(p.State, ledger.PaymentConfirmed)
}

func fundRefuses(h *house) {
	f := func(change func(*ledger.RedPacket)) {
		h.Helper()
		r := red("a", 10)
		change(&r)
		_, _, err := h.l.PutRedPacket(h.ctx, r)
		h.is(err, ledger.ErrInvalid)
	}
	f(func(r *ledger.RedPacket) { r.ID = "" })
	f(func(r *ledger.RedPacket) { r.Sender = "" })
	f(func(r *ledger.RedPacket) { r.Amount = 0 })
	f(func(r *ledger.RedPacket) { r.Amount = -1 })
	f(func(r *ledger.RedPacket) { r.Amount, r.Mode = -1, "portal" })
	f(func(r *ledger.RedPacket) { r.Amount, r.Mode, r.State = 0, "portal", ledger.Unpaid })
	f(func(r *ledger.RedPacket) { r.Amount, r.Mode, r.Payment = 0, "portal", "p1" })
	f(func(r *ledger.RedPacket) { r.Count = -1 })
	f(func(r *ledger.RedPacket) { r.Count = 1 << 32 })
	f(func(r *ledger.RedPacket) { r.Home = -1 })
	f(func(r *ledger.RedPacket) { r.State = ledger.Closed })
	_, err := h.l.RedPacket(h.ctx, "a")
	h.is(err, ledger.ErrNotFound)
}

func filters(h *house) {
	for i := range 6 {
		r := red(fmt.Sprintf("r%d", i), 2)
		r.Home, r.Bucket = i%2, i
		r.OpensAt = start.Add(time.Duration(i) * time.Minute)
		if i == 5 {
			r.State = ledger.Unpaid
		}
		_, _, err := h.l.PutRedPacket(h.ctx, r)
		h.must(err)
	}
	list := func(f ledger.Filter) (ids []string) {
		h.must(h.l.EachRedPacket(h.ctx, f, func(r ledger.RedPacket) error { ids = append(ids, r.ID); return nil }))
		return ids
	}
	h.eq(list(ledger.Filter{}), "[r0 r1 r2 r3 r4 r5]")
	h.eq(list(ledger.Filter{Homes: []int{1}}), "[r1 r3 r5]")
	h.eq(list(ledger.Filter{Homes: []int{0}, Buckets: []int{2, 3}}), "[r2]")
	h.eq(list(ledger.Filter{States: []string{ledger.Unpaid}}), "[r5]")
	h.eq(list(ledger.Filter{OpensBefore: start.Add(90 * time.Second)}), "[r0 r1]")
	h.eq(list(ledger.Filter{ClosesBefore: start}), "[]")
	h.eq(list(ledger.Filter{ClosesAfter: start}), "[r0 r1 r2 r3 r4 r5]")
	h.eq(list(ledger.Filter{ClosesAfter: start.Add(time.Hour)}), "[]")
	h.eq(list(ledger.Filter{CreatedAfter: start}), "[]")
	n := 0
	h.must(h.l.EachRedPacket(h.ctx, ledger.Filter{}, func(ledger.RedPacket) error { n++; return ledger.Stop }))
	h.eq(n, 1)
}

func (h *house) ask(id, payment string) {
	h.Helper()
	r := red(id, 10)
	r.State = ledger.Unpaid
	_, _, err := h.l.PutRedPacket(h.ctx, r)
	h.must(err)
	_, _, err = h.l.PutPayment(h.ctx, ledger.Payment{ID: payment, RedPacket: id, Provider: "bank", Amount: 1000, AskedAt: start})
	h.must(err)
}

func paymentConfirms(h *house) {
	h.ask("a", "p1")
	h.state("a", ledger.Unpaid)
	h.freezes(ledger.FreezeOrphan, batch("a", 0, 1))
	_, created, err := h.l.PutPayment(h.ctx, ledger.Payment{ID: "p1", RedPacket: "a", Provider: "bank", Amount: 1000})
	h.must(err)
	h.eq(created, false)
	_, _, err = h.l.PutPayment(h.ctx, ledger.Payment{ID: "p1", RedPacket: "a", Provider: "other", Amount: 1000})
	h.is(err, ledger.ErrConflict)
	_, _, err = h.l.PutPayment(h.ctx, ledger.Payment{ID: "p2", RedPacket: "a", Provider: "bank", Amount: 999})
	h.is(err, ledger.ErrAmount)
	_, _, err = h.l.PutPayment(h.ctx, ledger.Payment{ID: "p2", RedPacket: "zz", Provider: "bank", Amount: 999})
	h.is(err, ledger.ErrNotFound)
	unpaid, err := h.l.UnpaidPayments(h.ctx, start.Add(time.Second), 10)
	h.must(err)
	h.eq(len(unpaid), 1)
	_, err = h.l.ConfirmPayment(h.ctx, "p1", 999, "x", start)
	h.is(err, ledger.ErrAmount)
	h.state("a", ledger.Unpaid)
	for range 2 {
		p, err := h.l.ConfirmPayment(h.ctx, "p1", 1000, "bank-77", start.Add(time.Second))
		h.must(err)
		h.eq(p.State+" "+p.Reference, "confirmed bank-77")
	}
	_, err = h.l.ConfirmPayment(h.ctx, "p1", 999, "x", start)
	h.is(err, ledger.ErrAmount)
	h.is(h.l.ExpirePayment(h.ctx, "p1", start), ledger.ErrState)
	_, err = h.l.ConfirmPayment(h.ctx, "p9", 1, "x", start)
	h.is(err, ledger.ErrNotFound)
	h.state("a", ledger.Funded)
	h.money("a", "funded 1000 paid 0 payable 0 refunding 0 refunded 0 held 0 balance 1000")
	var seen []string
	h.must(h.l.EachPayment(h.ctx, start, start.Add(time.Hour), func(p ledger.Payment) error { seen = append(seen, p.ID); return nil }))
	h.eq(seen, "[p1]")
}

func paymentLate(h *house) {
	h.ask("a", "p1")
	_, _, err := h.l.PutPayment(h.ctx, ledger.Payment{ID: "p2", RedPacket: "a", Provider: "bank", Amount: 1000, AskedAt: start})
	h.must(err)
	h.must(h.l.ExpirePayment(h.ctx, "p1", start))
	h.state("a", ledger.Unpaid) // p2 may still come
	h.must(h.l.ExpirePayment(h.ctx, "p2", start))
	h.must(h.l.ExpirePayment(h.ctx, "p2", start))
	h.state("a", ledger.Expired)
	for range 2 {
		p, err := h.l.ConfirmPayment(h.ctx, "p2", 1000, "bank-1", start)
		h.must(err)
		h.eq(p.State, ledger.PaymentLate)
	}
	h.money("a", "funded 1000 paid 0 payable 0 refunding 1000 refunded 0 held 0 balance 0")
	got := h.claim(10)
	h.eq(len(got), 1)
	h.eq(say(got[0].Key, got[0].Kind, got[0].UID, got[0].Amount), "a.p1 refund sender-a 1000")
	h.must(h.l.Done(h.ctx, []ledger.Outcome{{Key: "a.p1", Reference: "r", At: start}}))
	h.money("a", "funded 1000 paid 0 payable 0 refunding 0 refunded 1000 held 0 balance 0")
	h.state("a", ledger.Expired)
}
