package redpacket

import (
	"context"
	"time"
)

// Desk is the small interface that a draw hides behind. Handlers see only this; what is
// behind it may be a bucket at home, a relay to another region, or a model in a test.
type Desk interface {
	// Fund stores the request in its bucket. It does not wait for payment or split.
	Fund(ctx context.Context, req FundRequest) (FundResult, error)
	// Look reads the user, the red packet and "did I win" in one batched cache read, into seen.
	Look(ctx context.Context, id ID, uid string, seen *Seen) error
	// Draw asks the home for the outcome of (uid, n), by one atomic script.
	Draw(ctx context.Context, req DrawRequest) (Outcome, error)
	// Show tells the public state.
	Show(ctx context.Context, id ID) (State, error)
	// Winners lists who won what, a page at a time; page "" is the first.
	Winners(ctx context.Context, id ID, page string) (WinnersPage, error)
	// Close ends a red packet before its time; what is left goes back to the sender. by is
	// the sender's uid, or "" for ops, who may close anything.
	Close(ctx context.Context, id ID, by string) (State, error)
}

// FundResult answers Fund.
type FundResult struct {
	ID    ID
	State string // "splitting", or what it has become when the request is a repeat
	Again bool   // the same request came before
}

// DrawRequest is one user's try.
type DrawRequest struct {
	ID       ID
	UID      string
	N        string // "" except in mode portal, where it is the draw's Idempotency-Key
	Password string // as typed, if any
	// Fan says that the handler has checked the relation of an audience `fans`; without it
	// such a draw is denied.
	Fan bool
	// Seen is what Look returned for the same (id, uid), or nil: then Draw looks itself.
	Seen *Seen
}

// OutcomeKind is the word of the answer.
type OutcomeKind uint8

// The outcomes of a draw.
const (
	Unknown OutcomeKind = iota // only inside Seen: the cache cannot tell, ask home
	Won
	Already
	SoldOut
	NotOpen
	Closed
	Denied
)

var outcomeWords = [...]string{"unknown", "won", "already", "soldout", "notopen", "closed", "denied"}

// String is the word used in answers.
func (k OutcomeKind) String() string {
	if int(k) < len(outcomeWords) {
		return outcomeWords[k]
	}
	return "unknown"
}

// Outcome answers a draw. Amount, Share and Prize are set only for Won and Already.
type Outcome struct {
	Kind      OutcomeKind
	Amount    int64  // fen
	Share     int64  // index, from 0
	Prize     string // name of a portal's prize
	PrizeKind string // "cash", "coupon", "other"
	Code      string // coupon code, if the prize has one
	Reason    string // Denied: "password", "tries", "fans", "list", "cap"
	Left      int64  // Denied for a password: tries left; portal: draws left
	OpensAt   int64  // NotOpen: Unix ms
	Now       int64  // Unix ms of the clock that decided
	Pos       Position
}

// Position is a place in a bucket's streams: the embedded house waits for it to be settled.
type Position struct {
	Bucket int
	Epoch  uint64
	Seq    uint64
}

// Seen is what the cache knows. It is a hint that saves a question to the home; it never
// decides against a user who may have won.
type Seen struct {
	Now int64 // Unix ms on this gateway

	UserFound bool
	UserLater bool   // the user source is busy or down: whether he is blocked is not known
	User      []byte // JSON object, if found

	Found bool // the red packet's record is there
	Gone  bool // the home says that there is no such red packet
	Later bool // neither: come back
	State State

	WinFound bool
	Win      Outcome // Already, with amount and share

	NoWin bool // a complete filter of winners says that this uid has none
}

// edge is how near to opens_at the home's clock decides instead of the gateway's.
const edge = 500 * time.Millisecond

// Decide returns the outcome that the cache alone may give, and whether there is one. When
// there is none, Draw must ask home. `soldout` and `closed` come from here only with a
// filter that proves that this uid won nothing: a missing w: record proves nothing.
func (s *Seen) Decide() (Outcome, bool) {
	switch kind := s.decided(); kind {
	case Unknown:
		return Outcome{}, false
	case Already:
		return s.Win, true
	case NotOpen:
		return Outcome{Kind: NotOpen, OpensAt: s.State.OpensAt, Now: s.Now}, true
	default:
		return Outcome{Kind: kind, Now: s.Now}, true
	}
}

// decided is the word of what Decide returns, or Unknown.
func (s *Seen) decided() OutcomeKind {
	switch {
	case s.WinFound && s.State.Mode != ModePortal:
		return Already
	case !s.Found:
		return Unknown
	case s.Now+edge.Milliseconds() < s.State.OpensAt:
		return NotOpen
	case s.NoWin && s.State.State == StateSoldOut:
		return SoldOut
	case s.NoWin && s.State.State == StateClosed:
		return Closed
	}
	return Unknown
}

// States of a red packet, as the public sees them.
const (
	StateUnpaid    = "unpaid"    // waits for the payment provider
	StateSplitting = "splitting" // funded, being split
	StateScheduled = "scheduled" // split, waits for opens_at
	StateOpen      = "open"
	StateSoldOut   = "soldout"
	StateClosed    = "closed"
	StateExpired   = "expired" // never paid
)

// State is a red packet as the public may see it.
type State struct {
	ID         ID
	State      string
	Sender     string
	Mode       string
	Audience   string
	Lock       string
	Amount     int64 // fen
	Count      int64
	Min, Max   int64 // fen
	Left       int64
	LeftAmount int64 // fen
	// Quarantined shares may have been won before a restore; they are neither drawn nor
	// refunded before they are reconciled.
	Quarantined int64
	OpensAt     int64  // Unix ms; 0: at once
	ClosesAt    int64  // Unix ms
	Cap         int64  // portal: draws per user
	Commit      string // hex SHA-256 of the split seed; shown before the draw
	Seed        string // hex; shown after close

	winnerHashes int64  // how many each part has
	spread       int64  // parts it is spread over, at least 1
	password     string // hash
	filter       int64  // chunks of the winners' filter, 0 none yet
	version      uint64 // of the cache record
}

// Winner is a line of the winners' list.
type Winner struct {
	UID    string
	N      string // portal only
	Share  int64
	Amount int64 // fen
	Prize  string
	WonAt  int64 // Unix ms
}

// WinnersPage is one page; Next is "" on the last.
type WinnersPage struct {
	Winners []Winner
	Next    string
}
