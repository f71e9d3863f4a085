package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/gateway/ledger"
)

// Open makes an empty store with the clock given. The test closes it.
type Open func(t *testing.T, now func() time.Time) ledger.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, f := range map[string]func(*house){
		"FundIsIdempotentByIdAndBody":                 fundIdempotent,
		"FundRefusesWhatCannotBeStored":               fundRefuses,
		"RedPacketsAreListedByFilter":                 filters,
		"PaymentFundsOnceAndOnlyTheAmountAsked":       paymentConfirms,
		"PaymentThatComesTooLateGoesBack":             paymentLate,
		"SettlePostsOnceWhateverIsSentAgain":          settleOnce,
		"SettleRefusesGapsAndMisshapenBatches":        settleGaps,
		"SettleFreezesOnOtherContent":                 settleFreezes,
		"SettleOfOneBucketIsNotStoppedByAnother":      settleIndependent,
		"CertifyRaisesTheEpochAndThaws":               certify,
		"EpochsAreGivenOnce":                          epochs,
		"CloseReturnsWhatIsLeftOnce":                  closeOnce,
		"SpreadRedPacketClosesPartByPart":             closeParts,
		"MovesBetweenPartsArePostedOnce":              moves,
		"QuarantineHoldsUntilReleased":                quarantine,
		"OutboxLosesNothing":                          outbox,
		"OutboxKeepsLateWorkersOut":                   outboxLate,
		"PrizesWithoutMoneyArePaidOutWithoutPostings": prizes,
		"OnlyARehearsalAmongItselfIsPlayed":           rehearsals,
		"PortalOfCouponsHasNoPaymentAndNoPostings":    couponsOnly,
		"WinsArePagedAndComplete":                     paging,
		"CorrectionsAreNewRows":                       corrections,
		"ProofsAreKept":                               proofs,
		"ManySettlersOfOneHotRedPacket":               concurrent,
		"ClosedStoreSaysSo":                           closed,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, open)
			f(h)
			if name != "ClosedStoreSaysSo" {
				h.audit()
				h.l.Close()
			}
		})
	}
	t.Run("BehavesLikeTheMemoryStoreOnRandomEvents", func(t *testing.T) { differential(t, open) })
}

// house is a store with a clock and short words.
type house struct {
	*testing.T
	ctx context.Context
	l   ledger.Store
	mu  sync.Mutex
	now time.Time
}

var start = time.Date(2027, 2, 5, 12, 0, 0, 0, time.UTC)

func newHouse(t *testing.T, open Open) *house {
	h := &house{T: t, ctx: context.Background(), now: start}
	h.l = open(t, h.clock)
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("got error %v, want %v", err, want)
	}
}

func (h *house) eq(got, want any) {
	h.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Fatalf("got %v, want %v", got, want)
	}
}

func (h *house) audit() {
	h.Helper()
	rep, err := h.l.Audit(h.ctx)
	h.must(err)
	if len(rep.Problems) > 0 {
		h.Fatalf("audit: %q", rep.Problems)
	}
}

// red is a funded red packet of count shares of 100 fen, in bucket 7 of home 1.
func red(id string, count int) ledger.RedPacket {
	return ledger.RedPacket{ID: id, Sender: "sender-" + id, Home: 1, Bucket: 7, Mode: "lucky", Audience: "anyone", Lock: "none",
		Amount: int64(count) * 100, Count: count, Min: 50, Max: 20000, OpensAt: start, ClosesAt: start.Add(time.Hour), CreatedAt: start.Add(-time.Minute),
		Seed: []byte("seed-" + id), SeedHash: []byte("hash"), Spec: []byte(`{"amount":1}`), BodyHash: []byte("body"), State: ledger.Funded}
}

func (h *house) fund(id string, count int) ledger.RedPacket {
	h.Helper()
	r, created, err := h.l.PutRedPacket(h.ctx, red(id, count))
	h.must(err)
	h.eq(created, true)
	return r
}

// win is share won by "u<share>" at seq, epoch 1.
func win(id string, share int, seq uint64) ledger.Win {
	return ledger.Win{RedPacket: id, Share: share, UID: fmt.Sprintf("u%d", share), N: "1", Amount: 100,
		At: start.Add(time.Duration(seq) * time.Millisecond), Epoch: 1, Seq: seq}
}

// batch is wins of shares [from, to) at seqs from+1..to of bucket 7.
func batch(id string, from, to int) ledger.Batch {
	b := ledger.Batch{Home: 1, Bucket: 7, From: ledger.Position{Epoch: 1, Seq: uint64(from)}, To: ledger.Position{Epoch: 1, Seq: uint64(to)}}
	for s := from; s < to; s++ {
		b.Wins = append(b.Wins, win(id, s, uint64(s+1)))
	}
	return b
}

func (h *house) settle(b ...ledger.Batch) {
	h.Helper()
	h.must(h.l.Settle(h.ctx, b))
}

func (h *house) freezes(kind string, b ...ledger.Batch) {
	h.Helper()
	err := h.l.Settle(h.ctx, b)
	var f *ledger.FreezeError
	if !errors.As(err, &f) || f.Kind != kind {
		h.Fatalf("got %v, want a freeze: %s", err, kind)
	}
	at, err := h.l.Positions(h.ctx, f.Home)
	h.must(err)
	if at[f.Bucket].Frozen == nil || at[f.Bucket].Frozen.Kind != kind {
		h.Fatalf("bucket is %+v, want it frozen: %s", at[f.Bucket], kind)
	}
}

// thaw certifies bucket 7 at its position without a change of content.
func (h *house) thaw(bucket int) uint64 {
	h.Helper()
	at, err := h.l.Positions(h.ctx, 1)
	h.must(err)
	b := at[bucket]
	h.must(h.l.Certify(h.ctx, ledger.Certificate{Home: 1, Bucket: bucket, Who: "test", At: start, FromEpoch: b.Epoch, ToEpoch: b.Epoch + 1, Position: b.Position}))
	return b.Epoch + 1
}

func (h *house) sums(id string) ledger.Sums {
	h.Helper()
	s, err := h.l.Reconcile(h.ctx, id, nil)
	h.must(err)
	h.must(s.Check())
	return s
}

func (h *house) money(id, want string) {
	h.Helper()
	s := h.sums(id)
	got := fmt.Sprintf("funded %d paid %d payable %d refunding %d refunded %d held %d balance %d", s.Funded, s.Paid, s.Payable, s.Refunding, s.Refunded, s.Quarantined, s.Balance)
	if got != want {
		h.Fatalf("money of %s:\n got %s\nwant %s", id, got, want)
	}
}

func (h *house) state(id, want string) {
	h.Helper()
	r, err := h.l.RedPacket(h.ctx, id)
	h.must(err)
	h.eq(r.State, want)
}

// claim takes what is due and returns the keys.
func (h *house) claim(n int) []ledger.Payout {
	h.Helper()
	got, err := h.l.Claim(h.ctx, n, time.Minute)
	h.must(err)
	return got
}

// payAll ends every pay-out that is due.
func (h *house) payAll() int {
	h.Helper()
	n := 0
	for {
		got := h.claim(100)
		if len(got) == 0 {
			return n
		}
		var done []ledger.Outcome
		for _, p := range got {
			done = append(done, ledger.Outcome{Key: p.Key, Reference: "ref-" + p.Key, At: h.clock()})
		}
		h.must(h.l.Done(h.ctx, done))
		n += len(got)
	}
}

// say joins what a test looks at by spaces.
func say(a ...any) string { return strings.TrimSpace(fmt.Sprintln(a...)) }

// UpToDate checks a ledger that an older program made, with a red packet "old" of 100 fen in bucket 2 and the
// body hash 4: it keeps its rows, and takes portals of coupons.
func UpToDate(t *testing.T, l ledger.Store) {
	t.Helper()
	ctx := context.Background()
	if r, err := l.RedPacket(ctx, "old"); err != nil || r.Amount != 100 || r.Bucket != 2 || string(r.BodyHash) != "\x04" {
		t.Fatalf("%+v, %v", r, err)
	}
	coupons := ledger.RedPacket{ID: "new", Sender: "s", Mode: "portal", Count: 1, State: ledger.Funded}
	if _, _, err := l.PutRedPacket(ctx, coupons); err != nil {
		t.Fatal(err)
	}
}
