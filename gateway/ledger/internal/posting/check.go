package posting

import (
	"fmt"

	"sluice/gateway/ledger"
)

func freezeWin(kind string, w *ledger.Win, format string, a ...any) *ledger.FreezeError {
	return &ledger.FreezeError{At: w.Position(), Kind: kind, RedPacket: w.RedPacket, Share: w.Share, UID: w.UID,
		Detail: fmt.Sprintf(format, a...)}
}

func freezeClose(kind string, c *ledger.Close, format string, a ...any) *ledger.FreezeError {
	return &ledger.FreezeError{At: c.Position(), Kind: kind, RedPacket: c.RedPacket, Share: -1, Detail: fmt.Sprintf(format, a...)}
}

// replayed compares events at or before the bucket's position with what is
// stored.
func (p *planner) replayed(b *ledger.Batch, wins []ledger.Win, closes []ledger.Close) (*ledger.FreezeError, error) {
	byRed := map[string][]int{}
	for i := range wins {
		byRed[wins[i].RedPacket] = append(byRed[wins[i].RedPacket], wins[i].Share)
	}
	stored := map[string]map[int]Placed{}
	for id, shares := range byRed {
		if r := p.reds[id]; r != nil {
			got, err := p.b.AwardsByShare(p.ctx, r, shares)
			if err != nil {
				return nil, err
			}
			stored[id] = got
		}
	}
	for i := range wins {
		w := &wins[i]
		got, ok := stored[w.RedPacket][w.Share]
		if !ok {
			return freezeWin(ledger.FreezeContent, w, "the ledger is past this position and has no such award"), nil
		}
		if got.Bucket != b.Bucket || !got.Win.Same(*w) {
			return freezeWin(ledger.FreezeContent, w, "the ledger has uid %q n %q amount %d at %v of bucket %d; the stream says uid %q n %q amount %d",
				got.UID, got.N, got.Amount, got.Position(), got.Bucket, w.UID, w.N, w.Amount), nil
		}
	}
	for i := range closes {
		c := &closes[i]
		r := p.reds[c.RedPacket]
		if r == nil {
			return freezeClose(ledger.FreezeContent, c, "the ledger is past this position and has no such red packet"), nil
		}
		got, ok, err := p.b.Close(p.ctx, r, b.Bucket)
		if err != nil {
			return nil, err
		}
		if !ok || !got.Same(*c) {
			return freezeClose(ledger.FreezeContent, c, "the ledger is past this position and has another close or none"), nil
		}
	}
	return nil, nil
}

func freezeMove(kind string, m *ledger.Move, format string, a ...any) *ledger.FreezeError {
	return &ledger.FreezeError{At: m.Position(), Kind: kind, RedPacket: m.RedPacket, Share: m.First, Detail: fmt.Sprintf(format, a...)}
}

// movedBefore compares moves at or before the bucket's position with what is stored.
func (p *planner) movedBefore(moves []ledger.Move) (*ledger.FreezeError, error) {
	for i := range moves {
		m := &moves[i]
		same := false
		if r := p.reds[m.RedPacket]; r != nil {
			stored, err := p.b.Moves(p.ctx, r, m.From)
			if err != nil {
				return nil, err
			}
			for j := range stored {
				same = same || stored[j].Same(*m)
			}
		}
		if !same {
			return freezeMove(ledger.FreezeContent, m, "the ledger is past this position and has another move or none"), nil
		}
	}
	return nil, nil
}

// post plans the new events of a batch: all of them or none.
func (p *planner) post(b *ledger.Batch, at ledger.Bucket, wins []ledger.Win, closes []ledger.Close, moves []ledger.Move) (*ledger.FreezeError, error) {
	deltas := map[string]*Delta{}
	delta := func(id string) *Delta {
		d := deltas[id]
		if d == nil {
			r := p.reds[id]
			if r == nil || r.Home != b.Home || r.State == ledger.Unpaid || r.State == ledger.Expired {
				return nil
			}
			d = &Delta{RedPacket: r}
			deltas[id] = d
		}
		return d
	}
	for i := range wins {
		w := &wins[i]
		d := delta(w.RedPacket)
		if d == nil {
			return freezeWin(ledger.FreezeOrphan, w, "no such funded red packet in this home"), nil
		}
		if bad, err := p.win(w, d); bad != nil || err != nil {
			return bad, err
		}
	}
	for i := range closes {
		c := &closes[i]
		d := delta(c.RedPacket)
		if d == nil {
			return freezeClose(ledger.FreezeOrphan, c, "no such funded red packet in this home"), nil
		}
		if bad, err := p.close(b, closes, i, d); bad != nil || err != nil {
			return bad, err
		}
	}
	for i := range moves {
		m := &moves[i]
		d := delta(m.RedPacket)
		if d == nil {
			return freezeMove(ledger.FreezeOrphan, m, "no such funded red packet in this home"), nil
		}
		if m.From != b.Bucket || m.To == m.From || m.To < 0 || m.First < 0 || m.Count < 1 || m.Amount < 0 || m.Count > d.Count-m.First {
			return freezeMove(ledger.FreezeContent, m, "%d shares of a red packet of %d from bucket %d to %d: not a possible move", m.Count, d.Count, m.From, m.To), nil
		}
	}
	if p.check {
		if bad, err := p.unique(wins); bad != nil || err != nil {
			return bad, err
		}
	}
	p.take(b, at, wins, closes, moves, deltas)
	return nil, nil
}

// win checks one new win and adds it to its red packet's delta.
func (p *planner) win(w *ledger.Win, d *Delta) (*ledger.FreezeError, error) {
	if w.Share < 0 || w.Share > MaxShare || w.Amount < 0 || w.UID == "" || w.N == "" || (d.Count > 0 && w.Share >= d.Count) {
		return freezeWin(ledger.FreezeContent, w, "amount %d, n %q, red packet of %d shares: not a possible win", w.Amount, w.N, d.Count), nil
	}
	if d.Held > 0 {
		held := p.held[d.ID]
		if held == nil {
			var err error
			if held, err = p.b.Held(p.ctx, d.RedPacket); err != nil {
				return nil, err
			}
			p.held[d.ID] = held
		}
		if _, ok := held[w.Share]; ok {
			return freezeWin(ledger.FreezeQuarantined, w, "release it to its winner instead"), nil
		}
	}
	d.Awards++
	d.Awarded += w.Amount
	if left := p.left(d); d.Awarded > left || d.Awarded < 0 {
		return freezeWin(ledger.FreezeOverdrawn, w, "win of %d fen, %d fen left of %d", w.Amount, left-d.Awarded+w.Amount, d.Funded), nil
	}
	return nil, nil
}

// MaxShare bounds share indexes: entries are numbered from them.
const MaxShare = 1<<31 - 1

// left is what the plan's earlier batches leave of a red packet.
func (p *planner) left(d *Delta) int64 {
	left := d.Left()
	if had := p.plan.Deltas[d.ID]; had != nil {
		left -= had.Awarded + had.Returned
	}
	return left
}

func (p *planner) close(b *ledger.Batch, closes []ledger.Close, i int, d *Delta) (*ledger.FreezeError, error) {
	c := &closes[i]
	if c.Left < 0 || c.LeftShares < 0 {
		return freezeClose(ledger.FreezeContent, c, "left %d fen in %d shares: not a possible close", c.Left, c.LeftShares), nil
	}
	_, twice, err := p.b.Close(p.ctx, d.RedPacket, b.Bucket)
	if err != nil {
		return nil, err
	}
	for j := range closes[:i] {
		twice = twice || closes[j].RedPacket == c.RedPacket
	}
	for _, part := range p.plan.Parts {
		for j := range part.Closes {
			twice = twice || part.Key == (Key{b.Home, b.Bucket}) && part.Closes[j].RedPacket == c.RedPacket
		}
	}
	if twice {
		return freezeClose(ledger.FreezeClosed, c, "this part of the red packet is closed already"), nil
	}
	d.Returned += c.Left
	if left := p.left(d); d.Awarded+d.Returned > left || d.Returned < 0 {
		return freezeClose(ledger.FreezeOverdrawn, c, "close returns %d fen, %d fen are left of %d", c.Left, left-d.Awarded-d.Returned+c.Left, d.Funded), nil
	}
	d.Close = d.Close || b.Bucket == d.Bucket
	return nil, nil
}

// unique looks for each new win's share and (uid, n) among the stored and
// among those planned before it.
func (p *planner) unique(wins []ledger.Win) (*ledger.FreezeError, error) {
	type seen struct {
		shares map[int]bool
		users  map[UserKey]bool
	}
	local := map[string]*seen{}
	for i := range wins {
		w := &wins[i]
		s := local[w.RedPacket]
		if s == nil {
			s = &seen{map[int]bool{}, map[UserKey]bool{}}
			local[w.RedPacket] = s
		}
		u := UserKey{w.UID, w.N}
		if s.shares[w.Share] || p.shares[w.RedPacket][w.Share] {
			return freezeWin(ledger.FreezeShare, w, "twice in one settle"), nil
		}
		if s.users[u] || p.users[w.RedPacket][u] {
			return freezeWin(ledger.FreezeUser, w, "n %q twice in one settle", w.N), nil
		}
		s.shares[w.Share], s.users[u] = true, true
	}
	byShare := map[string]map[int]Placed{}
	byUser := map[string]map[UserKey]Placed{}
	for id, s := range local {
		shares := make([]int, 0, len(s.shares))
		users := make([]UserKey, 0, len(s.users))
		for share := range s.shares {
			shares = append(shares, share)
		}
		for u := range s.users {
			users = append(users, u)
		}
		var err error
		if byShare[id], err = p.b.AwardsByShare(p.ctx, p.reds[id], shares); err != nil {
			return nil, err
		}
		if byUser[id], err = p.b.AwardsByUser(p.ctx, p.reds[id], users); err != nil {
			return nil, err
		}
	}
	for i := range wins { // in the order of the stream: the first at fault is told
		w := &wins[i]
		if got, ok := byShare[w.RedPacket][w.Share]; ok {
			return freezeWin(ledger.FreezeShare, w, "uid %q won it at %v of bucket %d", got.UID, got.Position(), got.Bucket), nil
		}
		if got, ok := byUser[w.RedPacket][UserKey{w.UID, w.N}]; ok {
			return freezeWin(ledger.FreezeUser, w, "n %q won share %d at %v of bucket %d", w.N, got.Share, got.Position(), got.Bucket), nil
		}
	}
	for id, s := range local {
		if p.shares[id] == nil {
			p.shares[id], p.users[id] = s.shares, s.users
			continue
		}
		for share := range s.shares {
			p.shares[id][share] = true
		}
		for u := range s.users {
			p.users[id][u] = true
		}
	}
	return nil, nil
}

// take puts a checked batch into the plan.
func (p *planner) take(b *ledger.Batch, at ledger.Bucket, wins []ledger.Win, closes []ledger.Close, moves []ledger.Move, deltas map[string]*Delta) {
	key := Key{b.Home, b.Bucket}
	p.plan.Parts = append(p.plan.Parts, Part{Key: key, From: at.Position, To: b.To, Wins: wins, Closes: closes, Moves: moves})
	p.plan.Wins += len(wins)
	p.plan.Closes += len(closes)
	for id, d := range deltas {
		had := p.plan.Deltas[id]
		if had == nil {
			p.plan.Deltas[id] = d
			continue
		}
		had.Awarded += d.Awarded
		had.Returned += d.Returned
		had.Awards += d.Awards
		had.Close = had.Close || d.Close
	}
	at.Position = b.To
	if at.Epoch == 0 {
		at.Epoch = b.To.Epoch
	}
	p.buckets[key] = at
	p.plan.Buckets[key] = at
}
