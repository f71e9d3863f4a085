package memory

import (
	"slices"
	"sync"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

var _ ledger.Store = (*Store)(nil)

// Options of a memory ledger. Zero value means: wall clock, no hook, no bugs.
type Options struct {
	Now  func() time.Time
	Hook func(point string) error
	Bugs Bugs
}

// Bugs are faults that a simulator puts back in, to prove that it would find
// them.
type Bugs struct {
	// PositionApart advances the position in a step of its own after the rows,
	// with hook points "settle-position:before" and ":after", and forgets the
	// unique keys, as a ledger without transactions would.
	PositionApart bool
	// RefundTwice queues the refund of a close each time the close is seen.
	RefundTwice bool
}

// Store is a ledger in memory.
type Store struct {
	now  func() time.Time
	hook func(string) error
	bugs Bugs

	mu       sync.Mutex
	closed   bool
	reds     []*red // by number - 1, in the order of funding
	byID     map[string]*red
	payments map[string]*payment
	asked    []*payment // in the order of PutPayment
	buckets  map[posting.Key]ledger.Bucket
	certs    []ledger.Certificate
	epochs   map[int]uint64 // the last given, by home
	proofs   map[string][]ledger.Proof
	byUser   map[string][]*award // in the order of posting
	txn      int64
	postings int
	queue    []ref           // outbox: new pay-outs in order
	payouts  map[ref]*payout // those picked up
	moved    []*payout       // the same in the order of their first claim
	done     []*payout       // in the order of Done
}

type red struct {
	ledger.RedPacket
	run         posting.RedPacket // running totals
	refunding   int64
	awards      map[int]*award
	users       map[posting.UserKey]*award
	closes      map[int]ledger.Close
	moves       []ledger.Move
	held        map[int]*ledger.Held
	corrections map[int]ledger.Correction
	payments    []*payment
	accounts    [ledger.Accounts][]post
}

type post struct {
	entry  ledger.Entry
	amount int64
	txn    int64
}

type award struct {
	ledger.Win
	bucket int
	txn    int64
	red    *red
}

type payment struct {
	ledger.Payment
	num int
}

type ref struct {
	k     int64
	entry ledger.Entry
}

type payout struct {
	ref
	state         ledger.PayState
	tries, claims int
	due           time.Time
	err, note     string
	doneAt        time.Time
}

// New makes an empty ledger.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hook == nil {
		o.Hook = func(string) error { return nil }
	}
	return &Store{now: o.Now, hook: o.Hook, bugs: o.Bugs,
		byID: map[string]*red{}, payments: map[string]*payment{}, buckets: map[posting.Key]ledger.Bucket{}, epochs: map[int]uint64{},
		proofs: map[string][]ledger.Proof{}, byUser: map[string][]*award{}, payouts: map[ref]*payout{}}
}

// write runs fn as one transaction: fn checks first and then changes.
func (s *Store) write(op string, fn func() error) error {
	if err := s.hook(op + ":before"); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ledger.ErrClosed
	}
	s.txn++
	err := fn()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.hook(op + ":after")
}

func (s *Store) read() (func(), error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ledger.ErrClosed
	}
	return s.mu.Unlock, nil
}

// Close forgets the ledger; every later call answers ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// move posts one entry: two postings that sum to zero.
func (s *Store) move(r *red, e ledger.Entry, from, to ledger.Account, amount int64) {
	if amount == 0 {
		return
	}
	r.accounts[from] = append(r.accounts[from], post{e, -amount, s.txn})
	r.accounts[to] = append(r.accounts[to], post{e, amount, s.txn})
	s.postings += 2
}

func (r *red) balance(a ledger.Account) int64 {
	var sum int64
	for _, p := range r.accounts[a] {
		sum += p.amount
	}
	return sum
}

func (s *Store) find(op, id string) (*red, error) {
	if r := s.byID[id]; r != nil {
		return r, nil
	}
	return nil, &ledger.Error{Op: op, RedPacket: id, Err: ledger.ErrNotFound}
}

// settled makes a closed red packet refunded once nothing is on its way back.
func (r *red) settled() {
	if r.State == ledger.Closed && r.refunding == 0 && r.run.Held == 0 && r.run.Returned > 0 {
		r.State = ledger.Refunded
	}
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
