package posting

import (
	"context"
	"fmt"
	"sort"

	"sluice/gateway/ledger"
)

// Part is what is new in one batch.
type Part struct {
	Key
	From, To ledger.Position
	Wins     []ledger.Win
	Closes   []ledger.Close
	Moves    []ledger.Move
}

// Delta is what the plan adds to a red packet's running totals.
type Delta struct {
	*RedPacket
	Awarded, Returned int64
	Awards            int
	Close             bool // its home bucket's close is among them
}

// Plan is what a Settle writes.
type Plan struct {
	Parts   []Part
	Deltas  map[string]*Delta
	Buckets map[Key]ledger.Bucket // as they shall be, those that change
	Freezes []*ledger.FreezeError // new ones
	Errs    []error               // of batches left out, freezes too
	Wins    int
	Closes  int
}

// Red gives the number of a red packet in the plan.
func (p *Plan) Red(id string) *RedPacket { return p.Deltas[id].RedPacket }

// Sorted gives the deltas in the order of K: the order in which rows are locked.
func (p *Plan) Sorted() []*Delta {
	out := make([]*Delta, 0, len(p.Deltas))
	for _, d := range p.Deltas {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].K < out[j].K })
	return out
}

// planner holds what one planning reads.
type planner struct {
	ctx     context.Context
	b       Backend
	check   bool
	plan    *Plan
	buckets map[Key]ledger.Bucket
	reds    map[string]*RedPacket
	held    map[string]map[int]int64
	shares  map[string]map[int]bool     // won in this plan, when checking
	users   map[string]map[UserKey]bool // likewise
}

// Make plans the batches. With check, every new win is looked up.
func Make(ctx context.Context, b Backend, batches []ledger.Batch, check bool) (*Plan, error) {
	p := &planner{ctx: ctx, b: b, check: check, held: map[string]map[int]int64{},
		plan: &Plan{Deltas: map[string]*Delta{}, Buckets: map[Key]ledger.Bucket{}}}
	if check {
		p.shares, p.users = map[string]map[int]bool{}, map[string]map[UserKey]bool{}
	}
	sorted := make([]ledger.Batch, len(batches))
	copy(sorted, batches)
	sort.SliceStable(sorted, func(i, j int) bool {
		x, y := sorted[i], sorted[j]
		if x.Home != y.Home {
			return x.Home < y.Home
		}
		if x.Bucket != y.Bucket {
			return x.Bucket < y.Bucket
		}
		return x.To.Before(y.To)
	})
	if err := p.load(sorted); err != nil {
		return nil, err
	}
	for i := range sorted {
		if err := p.batch(&sorted[i]); err != nil {
			return nil, err
		}
	}
	return p.plan, nil
}

// load reads every bucket and red packet the batches name.
func (p *planner) load(batches []ledger.Batch) error {
	var keys []Key
	ids := map[string]bool{}
	for i := range batches {
		k := Key{batches[i].Home, batches[i].Bucket}
		if len(keys) == 0 || keys[len(keys)-1] != k {
			keys = append(keys, k)
		}
		last := ""
		for j := range batches[i].Wins {
			if id := batches[i].Wins[j].RedPacket; id != last {
				ids[id], last = true, id
			}
		}
		for j := range batches[i].Closes {
			ids[batches[i].Closes[j].RedPacket] = true
		}
		for j := range batches[i].Moves {
			ids[batches[i].Moves[j].RedPacket] = true
		}
	}
	var err error
	if p.buckets, err = p.b.Buckets(p.ctx, keys); err != nil {
		return err
	}
	list := make([]string, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	sort.Strings(list)
	p.reds, err = p.b.RedPackets(p.ctx, list)
	return err
}

// batch plans one batch. The error is the backend's; what is wrong with the
// batch goes into the plan.
func (p *planner) batch(b *ledger.Batch) error {
	key := Key{b.Home, b.Bucket}
	at := p.buckets[key]
	at.Home, at.Bucket = b.Home, b.Bucket
	if at.Frozen != nil {
		p.leave(at.Frozen)
		return nil
	}
	if err := shape(b); err != nil {
		p.leave(fmt.Errorf("ledger: settle bucket %d of home %d: %w", b.Bucket, b.Home, err))
		return nil
	}
	wins, closes, moves := b.Wins, b.Closes, b.Moves
	oldWins, oldCloses, oldMoves := 0, 0, 0
	for oldWins < len(wins) && !at.Position.Before(wins[oldWins].Position()) {
		oldWins++
	}
	for oldCloses < len(closes) && !at.Position.Before(closes[oldCloses].Position()) {
		oldCloses++
	}
	for oldMoves < len(moves) && !at.Position.Before(moves[oldMoves].Position()) {
		oldMoves++
	}
	fresh := at.Position.Before(b.To)
	if fresh {
		if err := admit(b, at); err != nil {
			p.leave(err)
			return nil
		}
	}
	bad, err := p.replayed(b, wins[:oldWins], closes[:oldCloses])
	if bad == nil && err == nil {
		bad, err = p.movedBefore(moves[:oldMoves])
	}
	if bad == nil && err == nil && fresh {
		bad, err = p.post(b, at, wins[oldWins:], closes[oldCloses:], moves[oldMoves:])
	}
	if err != nil {
		return err
	}
	if bad != nil {
		bad.Home, bad.Bucket = b.Home, b.Bucket
		at.Frozen = bad
		p.buckets[key] = at
		p.plan.Freezes = append(p.plan.Freezes, bad)
		p.leave(bad)
	}
	return nil
}

func (p *planner) leave(err error) { p.plan.Errs = append(p.plan.Errs, err) }

// admit refuses new events that a gap or a certification stands before.
func admit(b *ledger.Batch, at ledger.Bucket) error {
	op := fmt.Sprintf("settle bucket %d of home %d", b.Bucket, b.Home)
	switch {
	case at.Epoch != 0 && b.To.Epoch < at.Epoch:
		return &ledger.Error{Op: op, Err: ledger.ErrFenced,
			Hint: fmt.Sprintf("events of epoch %d, but epoch %d is certified; read the win stream of the Redis that is in charge", b.To.Epoch, at.Epoch)}
	case at.Epoch != 0 && b.To.Epoch > at.Epoch:
		return &ledger.Error{Op: op, Err: ledger.ErrFenced,
			Hint: fmt.Sprintf("events of epoch %d, but only epoch %d is certified; run `sluice redpacket certify`", b.To.Epoch, at.Epoch)}
	case at.Position.Before(b.From) && (at.Position != ledger.Position{} || b.From.Seq != 0): // "<epoch>-0" is the start of a stream
		return &ledger.Error{Op: op, Err: ledger.ErrGap,
			Hint: fmt.Sprintf("batch starts after %v, the ledger is at %v; read the stream again from there", b.From, at.Position)}
	}
	return nil
}

// shape refuses batches that can't be a stretch of a stream.
func shape(b *ledger.Batch) error {
	if b.To.Before(b.From) {
		return fmt.Errorf("%w: batch ends at %v before it starts at %v", ledger.ErrInvalid, b.To, b.From)
	}
	in := func(at, last ledger.Position) error {
		if at.Epoch != b.To.Epoch || !b.From.Before(at) || b.To.Before(at) || !last.Before(at) {
			return fmt.Errorf("%w: event %v out of order or outside (%v, %v]", ledger.ErrInvalid, at, b.From, b.To)
		}
		return nil
	}
	last := b.From
	for i := range b.Wins {
		at := b.Wins[i].Position()
		if err := in(at, last); err != nil {
			return err
		}
		last = at
	}
	last = b.From
	for i := range b.Closes {
		at := b.Closes[i].Position()
		if err := in(at, last); err != nil {
			return err
		}
		last = at
	}
	last = b.From
	for i := range b.Moves {
		at := b.Moves[i].Position()
		if err := in(at, last); err != nil {
			return err
		}
		last = at
	}
	return nil
}
