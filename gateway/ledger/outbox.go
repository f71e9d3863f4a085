package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is where a pay-out goes.
type Kind uint8

const (
	Wallet  Kind = iota + 1 // money to the winner's wallet
	Coupon                  // a coupon code to the winner
	Message                 // a private message: prizes that are neither
	Refund                  // money back to the sender
)

func (k Kind) String() string {
	switch k {
	case Wallet:
		return "wallet"
	case Coupon:
		return "coupon"
	case Message:
		return "message"
	case Refund:
		return "refund"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Kind tells how a win is paid out: by its prize's first word, else as money.
func (w *Win) Kind() Kind {
	switch {
	case strings.HasPrefix(w.Prize, "coupon:"):
		return Coupon
	case w.Amount == 0:
		return Message
	}
	return Wallet
}

// RehearsalUID begins the uid of everybody who takes part in a rehearsal (`sluice bench --rehearsal`).
const RehearsalUID = "rehearsal-"

// Played says that a win is none to be paid: a user of a rehearsal won from a sender of a rehearsal. Whoever
// wins from, or against, anybody else is paid, whatever he is called.
func Played(sender, winner string) bool {
	return strings.HasPrefix(sender, RehearsalUID) && strings.HasPrefix(winner, RehearsalUID)
}

// PayState of a pay-out.
type PayState uint8

const (
	Queued  PayState = iota // not picked up yet
	Claimed                 // a worker has it, or had it when it died
	Waiting                 // failed, will be tried again
	Dead                    // dead letter: failed all its tries, a sweep or an operator retries it
	Paid                    // done
)

func (s PayState) String() string {
	switch s {
	case Queued:
		return "queued"
	case Claimed:
		return "claimed"
	case Waiting:
		return "waiting"
	case Dead:
		return "dead"
	case Paid:
		return "paid"
	}
	return "paystate(" + strconv.Itoa(int(s)) + ")"
}

// Payout is one row of the outbox.
type Payout struct {
	Key       string // idempotency key, the same at every try
	Kind      Kind
	RedPacket string
	UID       string // winner, or sender for a refund
	Share     int    // winner's share; bucket of the close for a refund
	N         string
	Amount    int64 // fen
	Prize     string
	Played    bool      // nobody is to be called for it
	At        time.Time // of the win or the close
	State     PayState
	Tries     int // since it was queued or retried
	Claims    int // in all: tells a late worker that another has it
	Due       time.Time
	LastError string
	Reference string // the provider's number, once paid
	DoneAt    time.Time
}

// Outcome ends a pay-out.
type Outcome struct {
	Key       string
	Reference string // the provider's number
	At        time.Time
}

// Backlog counts the outbox. Queued may be too high by a little once it is
// above 10,000.
type Backlog struct {
	Queued, Claimed, Waiting, Dead int
	OldestQueued                   time.Time // zero when none is queued
}

// PayoutKey names the pay-out of an entry: "<red packet>.w<share>" for a win,
// ".r<bucket>" for what a close left, ".q<share>" for a share released to the
// sender, ".p0" for a payment that came too late.
func PayoutKey(redPacket string, e Entry) string {
	return redPacket + "." + string(e.letter()) + strconv.Itoa(e.Index())
}

// ParsePayoutKey is the reverse of PayoutKey.
func ParsePayoutKey(key string) (redPacket string, e Entry, err error) {
	dot := strings.LastIndexByte(key, '.')
	if dot <= 0 || dot+2 >= len(key) {
		return "", 0, fmt.Errorf("ledger: pay-out key %q: want <red packet>.<letter><number>", key)
	}
	n, err := strconv.ParseUint(key[dot+2:], 10, 31)
	if err != nil || (n > 0 && key[dot+2] == '0') || (n == 0 && len(key) != dot+3) {
		return "", 0, fmt.Errorf("ledger: pay-out key %q: bad number", key)
	}
	switch key[dot+1] {
	case 'w':
		e = EntryWin(int(n))
	case 'r':
		e = EntryClose(int(n))
	case 'q':
		e = EntryRelease(int(n))
	case 'p':
		e = EntryLate(int(n))
	default:
		return "", 0, fmt.Errorf("ledger: pay-out key %q: unknown letter %q", key, key[dot+1])
	}
	return key[:dot], e, nil
}
