package statement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sluice/gateway/ledger"
)

// Kinds of differences.
const (
	Missing     = "missing"
	Extra       = "extra"
	Unposted    = "unposted"
	WrongAmount = "wrong amount"
	Double      = "double"
)

// Difference is one thing that does not fit.
type Difference struct {
	Kind      string `json:"kind"`
	Key       string `json:"key"`
	Line      int    `json:"line,omitempty"`      // of the statement
	Statement int64  `json:"statement,omitempty"` // fen
	Ledger    int64  `json:"ledger,omitempty"`    // fen
	Detail    string `json:"detail,omitempty"`
}

func (d Difference) String() string {
	s := d.Kind + ": " + d.Key
	if d.Line > 0 {
		s += fmt.Sprintf(" (line %d)", d.Line)
	}
	return s + fmt.Sprintf(": statement %d fen, ledger %d fen %s", d.Statement, d.Ledger, d.Detail)
}

// Report sums a comparison up.
type Report struct {
	Lines      int            `json:"lines"`
	Matched    int            `json:"matched"`
	Edges      int            `json:"edges"` // see the package comment
	Statement  int64          `json:"statement"`
	Ledger     int64          `json:"ledger"`
	Difference map[string]int `json:"differences"` // by kind
}

// Clean reports whether everything fits.
func (r Report) Clean() bool { return len(r.Difference) == 0 }

// Options say which part of the ledger the statement is about.
type Options struct {
	From, To time.Time     // the window, From included
	Kinds    []ledger.Kind // Payouts: of the pay-outs in the statement; empty means all
	Provider string        // Payments: "" means all
	Slack    time.Duration // see the package comment; zero means 5 min
}

// Book is what comparing needs of the ledger.
type Book interface {
	Payout(ctx context.Context, key string) (ledger.Payout, error)
	EachPayout(ctx context.Context, from, to time.Time, fn func(ledger.Payout) error) error
	Payment(ctx context.Context, id string) (ledger.Payment, error)
	EachPayment(ctx context.Context, from, to time.Time, fn func(ledger.Payment) error) error
}

// row is a record of the ledger, pay-out or payment.
type row struct {
	key    string
	amount int64
	at     time.Time
	done   bool
	state  string
}

// Payouts compares a wallet's, coupon service's or refund statement with the
// pay-outs done in the window. fn hears each difference.
func Payouts(ctx context.Context, l Book, o Options, file io.Reader, fn func(Difference)) (Report, error) {
	mine := func(p ledger.Payout) bool { // no wallet has heard of what was only played
		return !p.Played && (len(o.Kinds) == 0 || slices.Contains(o.Kinds, p.Kind))
	}
	turn := func(p ledger.Payout) row {
		return row{p.Key, p.Amount, p.DoneAt, p.State == ledger.Paid, p.State.String()}
	}
	each := func(fn func(row) error) error {
		return l.EachPayout(ctx, o.From, o.To, func(p ledger.Payout) error {
			if !mine(p) {
				return nil
			}
			return fn(turn(p))
		})
	}
	find := func(key string) (row, error) {
		p, err := l.Payout(ctx, key)
		if err == nil && !mine(p) {
			err = ledger.ErrNotFound
		}
		return turn(p), err
	}
	return compare(o, file, fn, each, find)
}

// Payments compares a payment provider's statement with the payments confirmed
// in the window.
func Payments(ctx context.Context, l Book, o Options, file io.Reader, fn func(Difference)) (Report, error) {
	mine := func(p ledger.Payment) bool { return o.Provider == "" || p.Provider == o.Provider }
	turn := func(p ledger.Payment) row {
		return row{p.ID, p.Amount, p.ConfirmedAt, p.State == ledger.PaymentConfirmed || p.State == ledger.PaymentLate, p.State}
	}
	each := func(fn func(row) error) error {
		return l.EachPayment(ctx, o.From, o.To, func(p ledger.Payment) error {
			if !mine(p) {
				return nil
			}
			return fn(turn(p))
		})
	}
	find := func(key string) (row, error) {
		p, err := l.Payment(ctx, key)
		if err == nil && !mine(p) {
			err = ledger.ErrNotFound
		}
		return turn(p), err
	}
	return compare(o, file, fn, each, find)
}

// line is what is kept of a statement's line.
type line struct {
	amount int64
	number int
	seen   bool
}

func compare(o Options, file io.Reader, fn func(Difference), each func(func(row) error) error, find func(string) (row, error)) (Report, error) {
	if o.Slack == 0 {
		o.Slack = 5 * time.Minute
	}
	r := Report{Difference: map[string]int{}}
	tell := func(d Difference) {
		r.Difference[d.Kind]++
		fn(d)
	}
	lines := map[string]*line{}
	var order []string
	err := Read(file, func(l Line) error {
		r.Lines++
		r.Statement += l.Amount
		if first, twice := lines[l.Key]; twice {
			tell(Difference{Kind: Double, Key: l.Key, Line: l.Number, Statement: l.Amount, Ledger: 0, Detail: fmt.Sprintf("first in line %d", first.number)})
			return nil
		}
		lines[l.Key] = &line{amount: l.Amount, number: l.Number}
		order = append(order, l.Key)
		return nil
	})
	if err != nil {
		return r, err
	}
	match := func(x row, l *line) {
		l.seen = true
		if x.amount != l.amount {
			tell(Difference{Kind: WrongAmount, Key: x.key, Line: l.number, Statement: l.amount, Ledger: x.amount})
			return
		}
		r.Matched++
	}
	err = each(func(x row) error {
		r.Ledger += x.amount
		switch l := lines[x.key]; {
		case l != nil:
			match(x, l)
		case x.at.Sub(o.From) < o.Slack:
			r.Edges++
		default:
			tell(Difference{Kind: Missing, Key: x.key, Ledger: x.amount, Detail: "recorded at " + x.at.Format(time.RFC3339)})
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	for _, key := range order { // what the window did not have
		l := lines[key]
		if l.seen {
			continue
		}
		switch x, err := find(key); {
		case errors.Is(err, ledger.ErrNotFound):
			tell(Difference{Kind: Extra, Key: key, Line: l.number, Statement: l.amount})
		case err != nil:
			return r, err
		case !x.done:
			tell(Difference{Kind: Unposted, Key: key, Line: l.number, Statement: l.amount, Ledger: x.amount, Detail: "in the ledger it is " + x.state})
		case x.at.Before(o.From):
			tell(Difference{Kind: Double, Key: key, Line: l.number, Statement: l.amount, Ledger: x.amount,
				Detail: "the ledger recorded it before the window, at " + x.at.Format(time.RFC3339)})
		default:
			match(x, l)
		}
	}
	return r, nil
}
