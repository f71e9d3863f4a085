package ledger

import "strconv"

// Account is one of a red packet's eight accounts. The store's number of an
// account is the red packet's number * 8 + Account: narrow rows, and all money
// of a red packet lies side by side.
type Account uint8

const (
	AccountPayment    Account = iota // outside: the payment provider; minus what was funded
	AccountRedPacket                 // what may still be won
	AccountPayable                   // won, to be paid out
	AccountPaid                      // outside: reached the winner
	AccountRefunding                 // on its way back to the sender
	AccountRefunded                  // outside: reached the sender
	AccountQuarantine                // held until reconciled
	AccountSuspense                  // outside: corrections
	Accounts          = 8
)

func (a Account) String() string {
	names := [Accounts]string{"payment", "redpacket", "payable", "paid", "refunding", "refunded", "quarantine", "suspense"}
	if int(a) < len(names) {
		return names[a]
	}
	return "account(" + strconv.Itoa(int(a)) + ")"
}

// Entry numbers the entries of one red packet: index * 16 + what. It is made
// from the event itself, so that the same event can never be posted twice.
type Entry int64

const (
	entryFund    = 0  // payment -> red packet
	entryWin     = 1  // red packet -> payable
	entryPaid    = 2  // payable -> paid
	entryClose   = 3  // red packet -> refunding
	entryClosed  = 4  // refunding -> refunded
	entryHold    = 5  // red packet -> quarantine
	entryRelease = 6  // quarantine -> refunding
	entryBack    = 7  // refunding -> refunded, of a release
	entryAward   = 8  // quarantine -> red packet, before its win
	entryLate    = 9  // payment -> refunding
	entryReturn  = 10 // refunding -> refunded, of a late payment
	entryCorrect = 11
)

func entry(index int, what Entry) Entry { return Entry(index)<<4 | what }

// EntryFund and the rest name the entry of one event.
func EntryFund() Entry             { return entry(0, entryFund) }
func EntryWin(share int) Entry     { return entry(share, entryWin) }
func EntryClose(bucket int) Entry  { return entry(bucket, entryClose) }
func EntryHold(share int) Entry    { return entry(share, entryHold) }
func EntryRelease(share int) Entry { return entry(share, entryRelease) }
func EntryAward(share int) Entry   { return entry(share, entryAward) }
func EntryLate(n int) Entry        { return entry(n, entryLate) }
func EntryCorrect(n int) Entry     { return entry(n, entryCorrect) }

// Index is the share, bucket or number the entry is about.
func (e Entry) Index() int { return int(e >> 4) }

// What is the kind of entry alone.
func (e Entry) What() Entry { return e & 15 }

// Paid is the entry that ends the pay-out of e, and the two accounts it moves
// money between.
func (e Entry) Paid() (paid Entry, from, to Account) {
	switch e.What() {
	case entryWin:
		return entry(e.Index(), entryPaid), AccountPayable, AccountPaid
	case entryClose:
		return entry(e.Index(), entryClosed), AccountRefunding, AccountRefunded
	case entryRelease:
		return entry(e.Index(), entryBack), AccountRefunding, AccountRefunded
	default:
		return entry(e.Index(), entryReturn), AccountRefunding, AccountRefunded
	}
}

// IsWin tells whether the pay-out of e goes to a winner; else to the sender.
func (e Entry) IsWin() bool { return e.What() == entryWin }

func (e Entry) letter() byte {
	switch e.What() {
	case entryWin:
		return 'w'
	case entryClose:
		return 'r'
	case entryRelease:
		return 'q'
	}
	return 'p'
}
