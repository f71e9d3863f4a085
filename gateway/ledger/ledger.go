package ledger

import (
	"context"
	"time"
)

// Store is the ledger of one home region.
type Store interface {
	RedPackets
	Payments
	Settler
	Reader
	Certifier
	Outbox

	// Correct moves money between two accounts of one red packet by new rows.
	// It is the only way to put a mistake right. A repeat of (red packet,
	// number) with the same content is nothing; with other content ErrConflict.
	Correct(ctx context.Context, c Correction) error
	// Audit proves the whole journal: each transaction and each entry sums to
	// zero, each award has its two postings, each red packet's running totals
	// equal its postings. It reads everything: for drills and restores.
	Audit(ctx context.Context) (AuditReport, error)
	Close() error
}

// RedPackets is the register of what was funded.
type RedPackets interface {
	// PutRedPacket stores r, idempotent by id. When it is already there the
	// stored one comes back, with its own seed, and created is false; when that
	// one's BodyHash differs the error is ErrConflict (stored is still given).
	// State must be unpaid, or funded: then payment -> red packet is posted at
	// once, under r.Payment. A portal of amount 0 is funded, without a payment
	// and without a posting.
	PutRedPacket(ctx context.Context, r RedPacket) (stored RedPacket, created bool, err error)
	// RedPacket answers ErrNotFound when there is none.
	RedPacket(ctx context.Context, id string) (RedPacket, error)
	// EachRedPacket goes through what f allows, in the order of funding. fn may
	// return Stop to end early without an error.
	EachRedPacket(ctx context.Context, f Filter, fn func(RedPacket) error) error
}

// Payments is what the payment provider told about money coming in.
type Payments interface {
	// PutPayment records that a payment was asked for. Idempotent by id;
	// other content is ErrConflict.
	PutPayment(ctx context.Context, p Payment) (stored Payment, created bool, err error)
	// Payment answers ErrNotFound when there is none.
	Payment(ctx context.Context, id string) (Payment, error)
	// ConfirmPayment posts payment -> red packet and makes the red packet
	// funded. A repeat is nothing. An amount other than asked is ErrAmount and
	// posts nothing. Money that arrives for an expired red packet is posted
	// payment -> refunding and goes back through the outbox: the state of the
	// returned payment is then PaymentLate.
	ConfirmPayment(ctx context.Context, id string, amountFen int64, reference string, at time.Time) (Payment, error)
	// ExpirePayment ends a payment that did not come, and its red packet. It is
	// ErrState when the payment was confirmed meanwhile.
	ExpirePayment(ctx context.Context, id string, at time.Time) error
	// EachPayment goes through payments confirmed in [from, to), in order of time.
	EachPayment(ctx context.Context, from, to time.Time, fn func(Payment) error) error
	// UnpaidPayments are those asked for before the given time and neither
	// confirmed nor expired, oldest first.
	UnpaidPayments(ctx context.Context, before time.Time, limit int) ([]Payment, error)
}

// Settler posts the win streams.
type Settler interface {
	// Settle posts the batches in one transaction. Batches of different buckets
	// are independent: one that can't be posted (FreezeError, ErrGap, ErrFenced)
	// is left out, the rest is posted, and the errors come back joined; use
	// errors.As/Is or FreezeErrors. Any other error means that nothing is
	// known: ask Positions or settle the same batches again.
	Settle(ctx context.Context, batches []Batch) error
	// Moves lists what went between the parts of a red packet, in the order of posting.
	Moves(ctx context.Context, redPacket string) ([]Move, error)
	// Positions tells how far each bucket of a home is posted, its epoch, and
	// whether it is frozen. A bucket never heard of is not in the map; its
	// zero Bucket is right.
	Positions(ctx context.Context, home int) (map[int]Bucket, error)
}

// Reader answers who won what.
type Reader interface {
	// Wins pages through a red packet's awards in the order of shares. The
	// first cursor is ""; an empty next means the end.
	Wins(ctx context.Context, redPacket, cursor string, limit int) (wins []Award, next string, err error)
	// WinsOf pages through a user's awards, newest red packet first.
	WinsOf(ctx context.Context, uid, cursor string, limit int) (wins []Award, next string, err error)
	// Award is the outcome of (red packet, uid, n), or ErrNotFound.
	Award(ctx context.Context, redPacket, uid, n string) (Award, error)
	// Reconcile reads one red packet at one moment: its sums out of the
	// postings, the positions of its home's buckets, and every award in the
	// order of shares, streamed to fn (which may be nil). The *Award is reused
	// between calls. An error of fn ends the reading and is returned.
	Reconcile(ctx context.Context, redPacket string, fn func(*Award) error) (Sums, error)
	// PutProof keeps the proof of a clean reconcile (append-only); Proof gives
	// the newest, or ErrNotFound.
	PutProof(ctx context.Context, p Proof) error
	Proof(ctx context.Context, redPacket string) (Proof, error)
}

// Certifier is the door through which a bucket's authority changes.
type Certifier interface {
	// NextEpoch gives an epoch above above that this home was never given before.
	NextEpoch(ctx context.Context, home int, above uint64) (uint64, error)
	// Certify raises a bucket's epoch from c.FromEpoch to c.ToEpoch, thaws it,
	// quarantines c.Quarantined and keeps the record, all in one transaction.
	// ErrFenced when the bucket's epoch is not c.FromEpoch or its position not
	// c.Position: somebody else certified or settled; read again.
	Certify(ctx context.Context, c Certificate) error
	// Certificates of a home, newest first.
	Certificates(ctx context.Context, home, limit int) ([]Certificate, error)
	// Freeze stops settling of a bucket until it is certified. A frozen one
	// keeps its first reason.
	Freeze(ctx context.Context, f FreezeError) error
	// Quarantine holds more shares, outside a certification. Known ones with
	// the same amount are skipped.
	Quarantine(ctx context.Context, held []Held) error
	// Quarantined lists the held shares of a red packet by share; of all red
	// packets when the id is "" (only those still held).
	Quarantined(ctx context.Context, redPacket string) ([]Held, error)
	// Release ends the quarantine of shares: to a winner (Win set), or back to
	// the sender, which needs the red packet closed (ErrState). A repeat of the
	// same release is nothing.
	Release(ctx context.Context, r []Release) error
}

// Outbox is the queue of money and messages on their way out. Nothing leaves
// it but by Done.
type Outbox interface {
	// Claim takes up to n pay-outs that are due, new ones first come first
	// served, and leases them; after the lease another worker may get them.
	Claim(ctx context.Context, n int, lease time.Duration) ([]Payout, error)
	// Done posts payable -> paid (refunding -> refunded) and ends the pay-outs.
	// Repeats are nothing.
	Done(ctx context.Context, done []Outcome) error
	// Fail gives a claimed pay-out back, to be tried again at due. Without
	// effect when it was done or claimed by another meanwhile. p.Tries is what
	// is kept as its tries: one less than claimed when it was not really tried.
	Fail(ctx context.Context, p Payout, cause string, due time.Time) error
	// Dead makes a claimed pay-out a dead letter, which a sweep may retry from
	// sweepAt on.
	Dead(ctx context.Context, p Payout, cause string, sweepAt time.Time) error
	// Stuck lists dead letters and pay-outs that failed at least once, dead ones first.
	Stuck(ctx context.Context, limit int) ([]Payout, error)
	// Retry makes dead letters due now, with fresh tries: those named by their
	// keys, or every one when there is no key. It tells how many.
	Retry(ctx context.Context, keys ...string) (int, error)
	// Sweep is Retry for the dead letters whose sweepAt has come.
	Sweep(ctx context.Context) (int, error)
	// Payout by its key, or ErrNotFound.
	Payout(ctx context.Context, key string) (Payout, error)
	// EachPayout goes through pay-outs done in [from, to), in order of time.
	EachPayout(ctx context.Context, from, to time.Time, fn func(Payout) error) error
	// Backlog counts what is on its way, for metrics.
	Backlog(ctx context.Context) (Backlog, error)
}
