package ledger

import (
	"strconv"
	"time"
)

// Position is a place in a bucket's win stream: its id is "<epoch>-<seq>".
type Position struct{ Epoch, Seq uint64 }

// States of a red packet.
const (
	Unpaid   = "unpaid"   // stored, the payment has not come
	Funded   = "funded"   // paid: may open, wins may be posted
	Expired  = "expired"  // the payment never came
	Closed   = "closed"   // its home bucket's close is posted
	Refunded = "refunded" // and every refund has reached the sender
)

// RedPacket is what was funded. All but State and Payment never changes.
type RedPacket struct {
	ID, Sender           string
	Home, Bucket         int
	Mode, Audience, Lock string
	Amount               int64 // fen, the total in every mode; 0 only for a portal without cash prizes
	Count                int   // shares; portal: draws that can win at most, 0 = no such bound
	Min, Max             int64 // fen, bounds of one share
	OpensAt, ClosesAt    time.Time
	CreatedAt            time.Time
	Seed, SeedHash       []byte // of the split; the hash is shown before the draw
	Spec                 []byte // canonical JSON of what was funded, with prize table and hashed password
	BodyHash             []byte // of the fund request: another body under the same id is a conflict
	State                string
	Payment              string // id of its payment, "" while none is known, or there is nothing to pay
}

// Filter chooses red packets; a zero field chooses all.
type Filter struct {
	Homes        []int // empty: every home
	Buckets      []int // empty: every bucket
	States       []string
	OpensBefore  time.Time
	ClosesBefore time.Time
	ClosesAfter  time.Time
	CreatedAfter time.Time
}

// Win is one share won, as the win stream tells it.
type Win struct {
	RedPacket  string
	Share      int    // unique in the red packet
	UID        string // winner
	N          string // which draw of the uid: "1", except portal (Idempotency-Key); (red packet, UID, N) is unique
	Amount     int64  // fen taken from the red packet; 0 for a prize without money
	Prize      string // "" for money; "coupon:<name>:<code>" or "other:<name>", see Win.Kind
	At         time.Time
	Epoch, Seq uint64
}

// Close ends one bucket's part of a red packet: what is left goes back to the
// sender. A red packet in one bucket has one; a spread one has one for each
// bucket that still held shares.
type Close struct {
	RedPacket  string
	Left       int64 // fen
	LeftShares int
	At         time.Time
	Epoch, Seq uint64
	Reason     string // "time", "command", "soldout", ...
}

// Move is a range of shares that went from one part of a spread red packet to another: the
// giving part's stream tells it, and the receiving part has it only when it is posted. Within
// the ledger no money moves by it; it says which bucket answers for which share.
type Move struct {
	RedPacket    string
	From, To     int // buckets
	First, Count int // shares First to First+Count-1
	Amount       int64
	At           time.Time
	Epoch, Seq   uint64 // in the giving bucket's stream
}

// Batch is a stretch of one bucket's win stream, all of one epoch: the events
// after From up to To. From is the bucket's position as the caller knows it
// (of an earlier epoch right after a certification). One (epoch, seq) carries
// one event.
type Batch struct {
	Home, Bucket int
	From, To     Position
	Wins         []Win
	Closes       []Close
	Moves        []Move
}

// Bucket is what the ledger knows of one bucket.
type Bucket struct {
	Home, Bucket int
	Position     Position
	Epoch        uint64       // last certified; only its events are posted. 0: none yet, the first batch sets it
	Frozen       *FreezeError // nil when not frozen
}

// Award is a win in the ledger with the state of its pay-out.
type Award struct {
	Win
	Home, Bucket int
	Txn          int64 // the transaction that posted it; not read by Reconcile
	PayState     PayState
	PaidAt       time.Time
}

// Sums are one red packet's accounts, read from the postings.
type Sums struct {
	RedPacket   RedPacket
	Funded      int64
	Paid        int64 // reached the winners
	Payable     int64 // won, on the way
	Refunding   int64
	Refunded    int64
	Quarantined int64
	Suspense    int64 // moved outside by corrections
	Balance     int64 // neither won, closed nor held: must be Redis' left + unsettled
	Awards      int   // rows
	Awarded     int64 // fen, sum of the award rows: must be paid + payable (less corrections)
	LeftShares  int   // told by the closes
	Closes      []Close
	ClosedIn    []int  // the buckets of Closes, in the same order
	Moves       []Move // in the order of posting
	Held        []Held
	Positions   map[int]Bucket // of the red packet's home, at the same moment
}

// Check proves the equation of DESIGN 4.7 as far as the ledger alone can.
func (s Sums) Check() error {
	out := s.Paid + s.Payable + s.Refunding + s.Refunded + s.Quarantined + s.Balance + s.Suspense
	if out != s.Funded {
		return &Error{Op: "reconcile", RedPacket: s.RedPacket.ID, Err: ErrUnbalanced,
			Hint: "the postings of this red packet do not add up; run the audit and restore from a backup if it confirms this"}
	}
	return nil
}

// Correction moves money by hand.
type Correction struct {
	RedPacket string
	Number    int // 1, 2, ... chosen by the caller: makes a repeat harmless
	From, To  Account
	Amount    int64 // fen, > 0
	Who, Why  string
	At        time.Time
}

// Held is a share that may have been won beyond what is known (DESIGN 5a).
type Held struct {
	RedPacket    string
	Share        int
	Amount       int64
	Home, Bucket int
	Epoch        uint64 // under which it may have been won
	Reason       string
	At           time.Time
	Released     string // "" while held, "refund", or "award"
}

// Release ends a quarantine.
type Release struct {
	RedPacket string
	Share     int
	Win       *Win // nil: back to the sender; else the award (amount and share must be the held ones)
	Who, Why  string
	At        time.Time
}

// Certificate is the record of a change of a bucket's authority.
type Certificate struct {
	Home, Bucket       int
	Who                string // operator or certifier process
	At                 time.Time
	FromEpoch, ToEpoch uint64
	Position           Position // of the bucket when certified
	Posted             int      // wins of the tail that were posted before
	Quarantined        []Held
	Note               string
}

// States of a payment.
const (
	PaymentAsked     = "asked"
	PaymentConfirmed = "confirmed"
	PaymentExpired   = "expired"
	PaymentLate      = "late" // came after it had expired; goes back to the sender
)

// Payment is money asked from the sender for one red packet.
type Payment struct {
	ID, RedPacket string
	Provider      string
	Amount        int64
	State         string
	Reference     string // the provider's own number
	AskedAt       time.Time
	ConfirmedAt   time.Time
}

// Proof is the document of a clean reconcile.
type Proof struct {
	RedPacket string
	At        time.Time
	Document  []byte
}

// AuditReport counts what an audit read; Problems is empty when all is well.
type AuditReport struct {
	RedPackets, Transactions, Postings, Awards int
	Problems                                   []string // at most 100
}

// Before orders positions.
func (p Position) Before(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Seq < q.Seq
}

// String is the stream id, "<epoch>-<seq>".
func (p Position) String() string {
	return strconv.FormatUint(p.Epoch, 10) + "-" + strconv.FormatUint(p.Seq, 10)
}

// Position of the win in its bucket's stream.
func (w *Win) Position() Position { return Position{w.Epoch, w.Seq} }

// Same compares every field, the time to the millisecond.
func (w Win) Same(o Win) bool {
	same := w.At.UnixMilli() == o.At.UnixMilli()
	w.At, o.At = time.Time{}, time.Time{}
	return same && w == o
}

// Position of the move in the giving bucket's stream.
func (m *Move) Position() Position { return Position{m.Epoch, m.Seq} }

// Same compares every field, the time to the millisecond.
func (m Move) Same(o Move) bool {
	same := m.At.UnixMilli() == o.At.UnixMilli()
	m.At, o.At = time.Time{}, time.Time{}
	return same && m == o
}

// Position of the close in its bucket's stream.
func (c *Close) Position() Position { return Position{c.Epoch, c.Seq} }

// Same compares every field, the time to the millisecond.
func (c Close) Same(o Close) bool {
	same := c.At.UnixMilli() == o.At.UnixMilli()
	c.At, o.At = time.Time{}, time.Time{}
	return same && c == o
}
