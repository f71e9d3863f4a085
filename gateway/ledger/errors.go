package ledger

import (
	"errors"
	"fmt"
)

var (
	ErrNotFound   = errors.New("not in the ledger")
	ErrConflict   = errors.New("known with other content")
	ErrGap        = errors.New("batch starts after the bucket's position")
	ErrFenced     = errors.New("fenced by a later certification")
	ErrState      = errors.New("not possible in its state")
	ErrAmount     = errors.New("wrong amount")
	ErrUnbalanced = errors.New("postings do not sum to zero")
	ErrInvalid    = errors.New("invalid")
	ErrClosed     = errors.New("ledger is closed")
)

// Stop ends an Each without an error.
//
//lint:ignore ST1012 a signal, not a failure; as io.EOF
var Stop = errors.New("stop")

// Error says what was done to which red packet, and what to do about it.
type Error struct {
	Op        string // "fund", "settle", "pay out", ...
	RedPacket string
	Err       error  // one of the sentinels, or the database's error
	Hint      string // for the operator; may be ""
}

func (e *Error) Error() string {
	s := "ledger: " + e.Op
	if e.RedPacket != "" {
		s += " " + e.RedPacket
	}
	s += ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Reasons to freeze a bucket.
const (
	FreezeContent     = "other content"           // a posted (epoch, seq) came again with other content
	FreezeShare       = "share won twice"         // (red packet, share) is another's
	FreezeUser        = "user won twice"          // (red packet, uid, n) has another share
	FreezeOrphan      = "unknown red packet"      // a win or close of a red packet that is not funded here
	FreezeOverdrawn   = "more out than in"        // awards, refunds and holds exceed what was funded
	FreezeQuarantined = "share is quarantined"    // a win of a held share
	FreezeClosed      = "closed twice"            // a second close of the same part
	FreezeCommand     = "by command"              // Freeze called by an operator
	FreezeRedis       = "redis behind or ahead"   // found by the certifier
	FreezeReconcile   = "reconcile found a fault" // found by reconcile
)

// FreezeError says why a bucket is frozen: no event of it is posted until it
// has been certified.
type FreezeError struct {
	Home, Bucket int
	At           Position // of the event at fault
	Kind         string   // one of the Freeze constants
	RedPacket    string
	Share        int
	UID          string
	Detail       string
}

func (e *FreezeError) Error() string {
	s := fmt.Sprintf("ledger: bucket %d of home %d is frozen at %d-%d: %s", e.Bucket, e.Home, e.At.Epoch, e.At.Seq, e.Kind)
	if e.RedPacket != "" {
		s += fmt.Sprintf(", red packet %s share %d uid %q", e.RedPacket, e.Share, e.UID)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s + " (compare with `sluice redpacket reconcile`, then `sluice redpacket certify`)"
}

// FreezeErrors picks every freeze out of what Settle returned.
func FreezeErrors(err error) []*FreezeError {
	var out []*FreezeError
	var walk func(error)
	walk = func(err error) {
		if f, ok := err.(*FreezeError); ok {
			out = append(out, f)
			return
		}
		switch u := err.(type) {
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			if e := u.Unwrap(); e != nil {
				walk(e)
			}
		}
	}
	if err != nil {
		walk(err)
	}
	return out
}
