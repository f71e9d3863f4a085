package redpacket

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// restore writes every red packet, and every part of a spread one, of a bucket again, as the ledger knows it.
func (c *Certifier) restore(ctx context.Context, b int, set *script.Set, r *BucketReport, spreads []ledger.RedPacket) error {
	var rows []ledger.RedPacket
	err := c.Ledger.EachRedPacket(ctx, ledger.Filter{Homes: []int{int(c.h.home)}, Buckets: []int{b}},
		func(row ledger.RedPacket) error {
			if (row.State == ledger.Unpaid || spreadOver(&row) == 1) && row.State != ledger.Expired && c.h.now().Sub(row.ClosesAt) < recordAfterClose {
				rows = append(rows, row)
			}
			return nil
		})
	if err != nil {
		return fmt.Errorf("reading red packets: %w", err)
	}
	for i := range rows {
		held, err := c.restoreOne(ctx, b, set, &rows[i])
		if err != nil {
			return fmt.Errorf("restoring %s: %w", rows[i].ID, err)
		}
		r.Restored++
		r.Quarantined = append(r.Quarantined, held...)
	}
	return c.partsIn(b, spreads, func(row *ledger.RedPacket, id ID, part int) error {
		held, err := c.restorePart(ctx, b, set, row, id, part)
		if err != nil {
			return fmt.Errorf("restoring part %d of %s: %w", part, row.ID, err)
		}
		r.Restored++
		r.Quarantined = append(r.Quarantined, held...)
		return nil
	})
}

// known is what the ledger says of a red packet's shares.
type known struct {
	taken   []bool // by share
	next    int64  // behind the last share won
	awarded int64  // fen
	heldN   int64
	heldFen int64
	freed   int64             // shares released from quarantine
	given   map[string]int64  // portal: prizes won, by kind:name
	winners map[string]string // by "who": "share,amount,ms[,prize]"
}

func (c *Certifier) restoreOne(ctx context.Context, b int, set *script.Set, row *ledger.RedPacket) ([]ledger.Held, error) {
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return nil, err
	}
	k := &c.h.keys[b]
	fields := sp.fields()
	if row.State == ledger.Unpaid {
		if err := c.sidelines(ctx, k, set, &sp, nil); err != nil {
			return nil, err
		}
		return nil, c.call(ctx, set, script.Restore, k.base(k.rp(sp.ID), k.fund), append([]string{sp.ID, "queue"}, fields...)...)
	}
	kn, sums, err := c.awards(ctx, &sp)
	if err != nil {
		return nil, err
	}
	held := c.quarantine(b, &sp, row, &kn, &sums, set.Epoch)
	if err := c.call(ctx, set, script.Restore, k.base(k.rp(sp.ID), k.fund), append([]string{sp.ID, "quiet"}, fields...)...); err != nil {
		return nil, err
	}
	digits, err := shareDigits(&sp, row.Seed, 2)
	if err != nil {
		return nil, err
	}
	for at := 0; at < len(digits); at += storeChunk {
		chunk := digits[at:min(at+storeChunk, len(digits))]
		if err := c.call(ctx, set, script.Store, k.base(k.rp(sp.ID), k.sh(sp.ID)), sp.ID, text64(int64(at)), string(chunk)); err != nil {
			return nil, err
		}
	}
	if err := c.sidelines(ctx, k, set, &sp, kn.given); err != nil {
		return nil, err
	}
	if err := c.rewin(ctx, k, set, &sp, &kn); err != nil {
		return nil, err
	}
	state, left, closed := "o", sp.Amount-kn.awarded-kn.heldFen, "0"
	switch {
	case row.State != ledger.Funded:
		state = "c"
		for _, cl := range sums.Closes {
			left, closed = cl.Left, text64(cl.At.UnixMilli())
			kn.next = sp.Count - int64(cl.LeftShares)
		}
	case kn.next == sp.Count && kn.heldN == 0:
		state = "x"
	}
	return held, c.call(ctx, set, script.Restore, k.base(k.rp(sp.ID), k.fund), sp.ID, "emit",
		"s", state, "k", text64(kn.next), "la", text64(left), "q", text64(kn.heldN), "qa", text64(kn.heldFen), "rl", text64(kn.freed), "ot", text64(sp.opened()),
		"cm", hex.EncodeToString(row.SeedHash), "sd", hex.EncodeToString(row.Seed), "ct", closed)
}

// opened stands in for the moment of opening, which only Redis knew.
func (s *spec) opened() int64 { return max(s.OpensMS, s.FundedMS) }

// awards reads who won what.
func (c *Certifier) awards(ctx context.Context, sp *spec) (known, ledger.Sums, error) {
	kn := known{taken: make([]bool, sp.Count), winners: map[string]string{}, given: map[string]int64{}}
	var bad error
	sums, err := c.Ledger.Reconcile(ctx, sp.ID, func(a *ledger.Award) error {
		if a.Share < 0 || int64(a.Share) >= sp.Count {
			bad = fmt.Errorf("%w: the ledger has an award of share %d of %d", ErrFrozen, a.Share, sp.Count)
			return nil
		}
		kn.taken[a.Share] = true
		kn.next = max(kn.next, int64(a.Share)+1)
		kn.awarded += a.Amount
		who, value := winnerEntry(sp, &a.Win, sp.opened())
		if sp.Mode == ModePortal {
			name, _ := cutPrize(a.Prize)
			kn.given[name]++
		}
		kn.winners[who] = value
		return nil
	})
	if err == nil {
		err = bad
	}
	for _, h := range sums.Held {
		if h.Released != "" {
			kn.freed++
		} else if int64(h.Share) < sp.Count {
			kn.taken[h.Share] = true
			kn.heldN++
			kn.heldFen += h.Amount
		}
	}
	return kn, sums, err
}

// quarantine holds the shares of an open red packet that may have been won beyond what is
// known: all that the ledger knows no winner of, since nobody can tell how much Redis
// forgot. One that cannot have opened yet is whole. In the embedded house nothing is told
// before the ledger has it, so nothing can be missing.
func (c *Certifier) quarantine(b int, sp *spec, row *ledger.RedPacket, kn *known, sums *ledger.Sums, epoch uint64) (held []ledger.Held) {
	if row.State != ledger.Funded || c.Trusted {
		return nil
	}
	now := c.h.now()
	if sp.OpensMS > now.Add(time.Minute).UnixMilli() { // a minute for clocks that differ
		return nil
	}
	shares, err := amounts(sp, row.Seed, 2)
	if err != nil {
		return nil // shareDigits reports it
	}
	left := sums.Balance
	for i := range sp.Count {
		if kn.taken[i] {
			continue
		}
		h := ledger.Held{RedPacket: sp.ID, Share: int(i), Home: int(c.h.home), Bucket: b, Epoch: epoch - 1,
			Reason: "may have been won before Redis forgot", At: now.UTC().Truncate(time.Millisecond)}
		if shares != nil {
			h.Amount = shares[i]
		} else {
			h.Amount, left = left, 0 // a portal: what is left as a whole
		}
		held = append(held, h)
		kn.heldN++
		kn.heldFen += h.Amount
	}
	kn.next = sp.Count
	return held
}

// sidelines writes what stands beside the hash: the list and the prize table.
func (c *Certifier) sidelines(ctx context.Context, k *keys, set *script.Set, sp *spec, given map[string]int64) error {
	if len(sp.List) > 0 {
		if err := c.h.control.SAdd(ctx, k.list(sp.ID), sp.List).Err(); err != nil {
			return scriptError(err)
		}
	}
	// Counters of prizes go through a script: written late, they would let prizes out twice.
	t := sp.table(given)
	for at := 0; at < len(t); at += 1000 {
		args := append([]string{sp.ID, "quiet"}, t[at:min(at+1000, len(t))]...)
		if err := c.call(ctx, set, script.Restore, k.base(k.prize(sp.ID)), args...); err != nil {
			return err
		}
	}
	return nil
}

// rewin writes the winners' hashes, in calls of about 200 winners.
func (c *Certifier) rewin(ctx context.Context, k *keys, set *script.Set, sp *spec, kn *known) error {
	byHash := map[string][]string{}
	var hashes, args []string // of the next call
	write := func() error {
		if len(hashes) == 0 {
			return nil
		}
		err := c.call(ctx, set, script.Rewin, k.base(hashes...), args...)
		hashes, args = nil, nil
		return err
	}
	flush := func(hash string) error {
		texts := byHash[hash]
		delete(byHash, hash)
		hashes, args = append(hashes, hash), append(append(args, strconv.Itoa(len(texts))), texts...)
		if len(args) < 400 {
			return nil
		}
		return write()
	}
	draws := map[string]int64{}
	for who, value := range kn.winners {
		uid, _, portal := strings.Cut(who, "|")
		hash := k.winners(sp.ID, uid, sp.WinnerHashes)
		byHash[hash] = append(byHash[hash], who, value)
		if portal {
			draws[uid]++
		}
		if len(byHash[hash]) >= 400 {
			if err := flush(hash); err != nil {
				return err
			}
		}
	}
	for uid, n := range draws {
		hash := k.winners(sp.ID, uid, sp.WinnerHashes)
		byHash[hash] = append(byHash[hash], uid+"|", text64(n))
	}
	for hash := range byHash {
		if err := flush(hash); err != nil {
			return err
		}
	}
	return write()
}
