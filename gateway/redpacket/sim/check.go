package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
)

func (w *World) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.logf("%d VIOLATION: %s", w.ms, text)
	w.faults = append(w.faults, text)
}

// heard checks an answer against all answers before it.
func (w *World) heard(p *packet, uid, n string, out redpacket.Outcome) {
	who := uid + "|" + n
	won, has := p.told[who]
	switch out.Kind {
	case redpacket.Won, redpacket.Already:
		if has && (won.Share != out.Share || won.Amount != out.Amount || won.Code != out.Code) {
			w.violate("%s was told share %d (%d fen, code %q), then %d (%d fen, code %q)", who, won.Share, won.Amount, won.Code, out.Share, out.Amount, out.Code)
		}
		if other, ok := p.owner[out.Share]; ok && other != who {
			w.violate("share %d was told to %s and to %s", out.Share, other, who)
		}
		p.told[who], p.owner[out.Share] = out, who
		if out.Kind != redpacket.Won || w.forgot || w.embedded {
			return
		}
		if p.sold != "" && p.req.Mode != redpacket.ModePortal {
			w.violate("%s won share %d after %s had been told that all were gone", who, out.Share, p.sold)
		}
		if p.ended {
			w.violate("%s won share %d after the sender had been told that it is closed", who, out.Share)
		}
	case redpacket.SoldOut, redpacket.Closed:
		if out.Kind == redpacket.SoldOut {
			p.sold = who
		}
		if has {
			w.violate("%s won share %d and was told %v", who, won.Share, out.Kind)
		}
		if a, err := w.ledger.Award(context.Background(), p.id.String(), uid, ledgerN(n)); err == nil {
			w.violate("%s has share %d in the ledger and was told %v", who, a.Share, out.Kind)
		}
		if _, ok := p.refused[who]; !ok && p.req.Mode != redpacket.ModePortal {
			p.refused[who] = w.ms
		}
	}
}

func ledgerN(n string) string {
	if n == "" {
		return "1"
	}
	return n
}

// end lets everything come to rest, without faults, and checks the whole.
func (w *World) end() {
	w.calm = true
	for len(w.late) > 0 {
		w.deliverLate()
	}
	w.logf("%d calm", w.ms)
	w.startGateway()
	w.startBack()
	w.ms += time.Minute.Milliseconds() // leases run out
	w.rest()
	for _, p := range w.packets {
		if !p.funded {
			continue
		}
		for u := range p.users {
			for n := range 4 {
				if p.req.Mode == redpacket.ModePortal {
					w.draw(p, fmt.Sprint("u", u), fmt.Sprint("n", n))
				} else if n == 0 {
					w.draw(p, fmt.Sprint("u", u), "")
				}
			}
		}
	}
	w.rest()
	w.ms += 300_000 // everything is past its end
	w.rest()
	for _, p := range w.packets {
		for u := range p.users {
			if p.funded && p.req.Mode != redpacket.ModePortal {
				w.draw(p, fmt.Sprint("u", u), "")
			}
		}
	}
	w.rest()
	w.audit()
}

// rest runs every role until there is nothing to do.
func (w *World) rest() {
	ctx := context.Background()
	for range 4 {
		w.ms += 1200
		for _, step := range []func(context.Context) error{w.certify.Step, w.splitter.Step, w.settler.Step, w.settler.Step,
			w.settler.Step, w.closer.Step, w.settler.Step} {
			if err := step(ctx); err != nil {
				w.logf("%d at rest: %v", w.ms, err)
			}
		}
		for range 10 {
			w.payOut()
		}
		w.cache.apply()
	}
}

// audit holds clients, wallet, Redis and ledger against each other.
func (w *World) audit() {
	ctx := context.Background()
	positions, err := w.ledger.Positions(ctx, home)
	if err != nil {
		w.violate("positions: %v", err)
	}
	for b, bucket := range positions {
		if bucket.Frozen != nil {
			w.violate("bucket %d: %v", b, bucket.Frozen)
		}
	}
	if rep, err := w.ledger.Audit(ctx); err != nil || len(rep.Problems) > 0 {
		w.violate("audit: %v %v", rep.Problems, err)
	}
	var paid int64
	for _, p := range w.packets {
		paid += w.auditOne(ctx, p)
	}
	var wallet int64
	for _, amount := range w.wallet {
		wallet += amount
	}
	if wallet != paid {
		w.violate("the wallet has %d fen, the ledger paid %d", wallet, paid)
	}
}

func (w *World) auditOne(ctx context.Context, p *packet) (paid int64) {
	text := p.id.String()
	row, err := w.ledger.RedPacket(ctx, text)
	if errors.Is(err, ledger.ErrNotFound) {
		if len(p.told) > 0 {
			w.violate("%s has winners and is not in the ledger", text)
		}
		return 0
	}
	sums, err := w.ledger.Reconcile(ctx, text, func(a *ledger.Award) error {
		if key := ledger.PayoutKey(text, ledger.EntryWin(a.Share)); a.PayState != ledger.Paid {
			w.violate("at rest: pay-out %s of %s is %v", key, a.UID, a.PayState)
		} else if _, ok := w.wallet[key]; !ok {
			w.violate("pay-out %s of %s is done and never came to the wallet", key, a.UID)
		}
		return nil
	})
	if err != nil {
		w.violate("reading the ledger: %v", err)
	}
	paid = sums.Paid + sums.Refunded
	r, err := redpacket.Reconcile(ctx, w.house, w.ledger, p.id)
	if err != nil {
		w.violate("reconcile: %v", err)
		return paid
	}
	for _, d := range r.Differences {
		w.violate("reconcile: %v", d)
	}
	if row.State != ledger.Closed && row.State != ledger.Refunded || r.Unsettled != 0 || r.Left != 0 || r.Payable != 0 || r.Refunding != 0 {
		w.violate("at rest: %v", r)
	}
	if r.Quarantined > 0 && !w.forgot {
		w.violate("quarantined although Redis forgot nothing: %v", r)
	}
	held := map[int64]bool{}
	list, err := w.ledger.Quarantined(ctx, text)
	if err != nil {
		w.violate("quarantined: %v", err)
	}
	for _, h := range list {
		held[int64(h.Share)] = true
	}
	for who, out := range p.told {
		uid, n := cutWho(who)
		a, err := w.ledger.Award(ctx, text, uid, ledgerN(n))
		switch {
		case err == nil && int64(a.Share) == out.Share && a.Amount == out.Amount:
		case err == nil:
			w.violate("%s was told share %d (%d fen), the ledger has %d (%d fen)", who, out.Share, out.Amount, a.Share, a.Amount)
		case w.forgot && !w.embedded && (held[out.Share] || p.req.Mode == redpacket.ModePortal && r.Quarantined >= out.Amount):
		default:
			w.violate("%s was told share %d: neither in the ledger nor quarantined", who, out.Share)
		}
	}
	for who, at := range p.refused {
		uid, n := cutWho(who)
		if a, err := w.ledger.Award(ctx, text, uid, ledgerN(n)); err == nil && a.At.UnixMilli() <= at {
			w.violate("%s had won share %d and was told that there was none", who, a.Share)
		}
	}
	return paid
}

func cutWho(who string) (uid, n string) {
	for i := range who {
		if who[i] == '|' {
			return who[:i], who[i+1:]
		}
	}
	return who, ""
}
