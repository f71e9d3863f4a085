package posting

import (
	"bytes"
	"fmt"
	"time"

	"sluice/gateway/ledger"
)

// Ms is the stored form of a time: milliseconds since 1970, 0 for the zero time.
func Ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the reverse of Ms.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// CheckRedPacket refuses what can't be stored and fills in the payment's id.
func CheckRedPacket(r ledger.RedPacket) (ledger.RedPacket, error) {
	bad := func(format string, a ...any) (ledger.RedPacket, error) {
		return r, &ledger.Error{Op: "fund", RedPacket: r.ID, Err: fmt.Errorf("%w: "+format, append([]any{ledger.ErrInvalid}, a...)...)}
	}
	switch {
	case r.ID == "" || len(r.ID) > 200:
		return bad("id of %d bytes", len(r.ID))
	case r.Sender == "":
		return bad("no sender")
	case r.Amount < 0, r.Amount == 0 && r.Mode != "portal":
		return bad("amount %d fen", r.Amount)
	case r.Amount == 0 && (r.State != ledger.Funded || r.Payment != ""):
		return bad("a payment of nothing")
	case r.Count < 0 || r.Count > MaxShare:
		return bad("%d shares", r.Count)
	case r.Home < 0 || r.Bucket < 0 || r.Bucket > 1<<20:
		return bad("bucket %d of home %d", r.Bucket, r.Home)
	case r.State != ledger.Unpaid && r.State != ledger.Funded:
		return bad("state %q", r.State)
	}
	if r.State == ledger.Funded && r.Payment == "" && r.Amount > 0 {
		r.Payment = r.ID
	}
	for _, t := range []*time.Time{&r.OpensAt, &r.ClosesAt, &r.CreatedAt} {
		*t = Time(Ms(*t))
	}
	return r, nil
}

// SameRedPacket tells whether a repeat of fund brings what was stored.
func SameRedPacket(stored, r ledger.RedPacket) error {
	if !bytes.Equal(stored.BodyHash, r.BodyHash) || stored.Amount != r.Amount || stored.Sender != r.Sender {
		return &ledger.Error{Op: "fund", RedPacket: r.ID, Err: ledger.ErrConflict,
			Hint: "the same Idempotency-Key was used with another body"}
	}
	return nil
}

// CheckPayment compares a payment with its red packet.
func CheckPayment(p ledger.Payment, r ledger.RedPacket) error {
	switch {
	case p.ID == "" || len(p.ID) > 200:
		return &ledger.Error{Op: "payment", RedPacket: p.RedPacket, Err: fmt.Errorf("%w: payment id of %d bytes", ledger.ErrInvalid, len(p.ID))}
	case p.Amount <= 0:
		return &ledger.Error{Op: "payment " + p.ID, RedPacket: p.RedPacket, Err: fmt.Errorf("%w: amount %d fen", ledger.ErrInvalid, p.Amount)}
	case p.Amount != r.Amount:
		return &ledger.Error{Op: "payment " + p.ID, RedPacket: p.RedPacket, Err: ledger.ErrAmount,
			Hint: fmt.Sprintf("asked for %d fen, the red packet is of %d", p.Amount, r.Amount)}
	}
	return nil
}

// SamePayment tells whether a repeat of PutPayment brings what was stored.
func SamePayment(stored, p ledger.Payment) error {
	if stored.RedPacket != p.RedPacket || stored.Amount != p.Amount || stored.Provider != p.Provider {
		return &ledger.Error{Op: "payment " + p.ID, RedPacket: p.RedPacket, Err: ledger.ErrConflict}
	}
	return nil
}

// Confirm decides what a provider's confirmation does to a payment: its new
// state, or "" when it is a repeat.
func Confirm(p ledger.Payment, redPacketState string, amount int64) (string, error) {
	if amount != p.Amount {
		return "", &ledger.Error{Op: "confirm payment " + p.ID, RedPacket: p.RedPacket, Err: ledger.ErrAmount,
			Hint: fmt.Sprintf("paid %d fen, asked for %d", amount, p.Amount)}
	}
	switch {
	case p.State == ledger.PaymentConfirmed || p.State == ledger.PaymentLate:
		return "", nil
	case p.State == ledger.PaymentAsked && redPacketState == ledger.Unpaid:
		return ledger.PaymentConfirmed, nil
	}
	return ledger.PaymentLate, nil
}

// CheckCorrection refuses a correction that moves nothing.
func CheckCorrection(c ledger.Correction) error {
	if c.Amount <= 0 || c.From == c.To || c.From >= ledger.Accounts || c.To >= ledger.Accounts ||
		c.Number < 1 || c.Number > MaxShare || c.Who == "" || c.Why == "" {
		return &ledger.Error{Op: "correct", RedPacket: c.RedPacket, Err: fmt.Errorf("%w: %d fen from %v to %v, number %d, who %q, why %q",
			ledger.ErrInvalid, c.Amount, c.From, c.To, c.Number, c.Who, c.Why)}
	}
	return nil
}

// CorrectionReturned is what a correction adds to the red packet's running
// total of returned money.
func CorrectionReturned(c ledger.Correction) int64 {
	switch ledger.AccountRedPacket {
	case c.From:
		return c.Amount
	case c.To:
		return -c.Amount
	}
	return 0
}

// CheckHeld refuses a quarantine of nothing.
func CheckHeld(h ledger.Held) error {
	if h.Share < 0 || h.Share > MaxShare || h.Amount < 0 || h.RedPacket == "" {
		return &ledger.Error{Op: "quarantine", RedPacket: h.RedPacket,
			Err: fmt.Errorf("%w: share %d of %d fen", ledger.ErrInvalid, h.Share, h.Amount)}
	}
	return nil
}

// Values of Held.Released.
const (
	ReleasedRefund = "refund"
	ReleasedAward  = "award"
)

// CheckRelease decides on a release of a held share: todo is false when it was
// done before.
func CheckRelease(r ledger.Release, h ledger.Held, state string) (todo bool, err error) {
	fail := func(err error, hint string) (bool, error) {
		return false, &ledger.Error{Op: fmt.Sprintf("release share %d of", r.Share), RedPacket: r.RedPacket, Err: err, Hint: hint}
	}
	to := ReleasedRefund
	if r.Win != nil {
		to = ReleasedAward
		w := r.Win
		if w.RedPacket != r.RedPacket || w.Share != r.Share || w.Amount != h.Amount || w.UID == "" || w.N == "" {
			return fail(fmt.Errorf("%w: the award must be the held share, %d fen", ledger.ErrInvalid, h.Amount), "")
		}
	}
	switch {
	case h.Released == to:
		return false, nil
	case h.Released != "":
		return fail(ledger.ErrConflict, "it was released before: "+h.Released)
	case to == ReleasedRefund && state != ledger.Closed && state != ledger.Refunded:
		return fail(ledger.ErrState, "close and reconcile the red packet first")
	}
	return true, nil
}

// CheckCertificate compares a certificate with the bucket it is for.
func CheckCertificate(c ledger.Certificate, b ledger.Bucket) error {
	op := fmt.Sprintf("certify bucket %d of home %d", c.Bucket, c.Home)
	switch {
	case c.Who == "" || c.ToEpoch <= c.FromEpoch || c.ToEpoch >= 1<<12:
		return &ledger.Error{Op: op, Err: fmt.Errorf("%w: who %q, epoch %d to %d (epochs have 12 bits)", ledger.ErrInvalid, c.Who, c.FromEpoch, c.ToEpoch)}
	case c.FromEpoch != b.Epoch || c.Position != b.Position:
		return &ledger.Error{Op: op, Err: ledger.ErrFenced,
			Hint: fmt.Sprintf("the ledger is at epoch %d, position %v, not at epoch %d, position %v; read and compare again", b.Epoch, b.Position, c.FromEpoch, c.Position)}
	}
	return nil
}

// HeldConflict refuses to quarantine or release a share.
func HeldConflict(h ledger.Held, hint string) error {
	return &ledger.Error{Op: fmt.Sprintf("share %d of", h.Share), RedPacket: h.RedPacket, Err: ledger.ErrConflict, Hint: hint}
}
