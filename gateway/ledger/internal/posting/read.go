package posting

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/gateway/ledger"
)

// ShareCursor reads the cursor of Wins: the last share seen, -1 at the start.
func ShareCursor(c string) (int, error) {
	if c == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(c, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w: cursor %q", ledger.ErrInvalid, c)
	}
	return int(n), nil
}

// CursorOfShare is the reverse of ShareCursor.
func CursorOfShare(share int) string { return strconv.Itoa(share) }

// UserCursor reads the cursor of WinsOf, "<number>.<n>": what comes next is
// smaller. The start is above everything.
func UserCursor(c string) (k int64, n string, err error) {
	if c == "" {
		return 1<<62 - 1, "", nil
	}
	num, n, ok := strings.Cut(c, ".")
	if ok {
		k, err = strconv.ParseInt(num, 10, 62)
	}
	if !ok || err != nil || k < 0 {
		return 0, "", fmt.Errorf("ledger: %w: cursor %q", ledger.ErrInvalid, c)
	}
	return k, n, nil
}

// CursorOfUser is the reverse of UserCursor.
func CursorOfUser(k int64, n string) string { return strconv.FormatInt(k, 10) + "." + n }

// Fill names the balances of a red packet's accounts.
func Fill(s *ledger.Sums, by [ledger.Accounts]int64) {
	s.Funded = -by[ledger.AccountPayment]
	s.Balance = by[ledger.AccountRedPacket]
	s.Payable = by[ledger.AccountPayable]
	s.Paid = by[ledger.AccountPaid]
	s.Refunding = by[ledger.AccountRefunding]
	s.Refunded = by[ledger.AccountRefunded]
	s.Quarantined = by[ledger.AccountQuarantine]
	s.Suspense = by[ledger.AccountSuspense]
}

// SameCorrection tells whether a repeat of Correct brings what was stored.
func SameCorrection(stored, c ledger.Correction) error {
	stored.At = c.At
	if stored != c {
		return &ledger.Error{Op: fmt.Sprintf("correction %d of", c.Number), RedPacket: c.RedPacket, Err: ledger.ErrConflict,
			Hint: "take the next number"}
	}
	return nil
}

// Overcorrected refuses a correction that would take more than there is.
func Overcorrected(c ledger.Correction, left int64) error {
	return &ledger.Error{Op: fmt.Sprintf("correction %d of", c.Number), RedPacket: c.RedPacket, Err: ledger.ErrAmount,
		Hint: fmt.Sprintf("%d fen, but only %d fen are left in its account", c.Amount, left)}
}
