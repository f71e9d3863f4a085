package redpacket

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// spreads lists the red packets that are spread over several buckets and not forgotten.
func (c *Certifier) spreads(ctx context.Context) (rows []ledger.RedPacket, err error) {
	f := ledger.Filter{Homes: []int{int(c.h.home)}, ClosesAfter: c.h.now().Add(-recordAfterClose),
		States: []string{ledger.Funded, ledger.Closed, ledger.Refunded}}
	err = c.Ledger.EachRedPacket(ctx, f, func(row ledger.RedPacket) error {
		if spreadOver(&row) > 1 {
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading red packets: %w", err)
	}
	return rows, nil
}

// partsIn calls f for each part that stands in bucket b.
func (c *Certifier) partsIn(b int, rows []ledger.RedPacket, f func(row *ledger.RedPacket, id ID, part int) error) error {
	for i := range rows {
		id, err := c.h.ids.Parse(rows[i].ID)
		if err != nil {
			return fmt.Errorf("%w: the ledger has a red packet %q", err, rows[i].ID)
		}
		if part := id.partIn(b); part < spreadOver(&rows[i]) {
			if err := f(&rows[i], id, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// absentPart looks for a part that Redis does not know although the red packet has been opened:
// before that its parts may be missing rightly.
func (c *Certifier) absentPart(ctx context.Context, b int, rows []ledger.RedPacket) (why string, err error) {
	err = c.partsIn(b, rows, func(row *ledger.RedPacket, id ID, part int) error {
		if part == 0 || row.State != ledger.Funded || why != "" {
			return nil
		}
		s, err := c.h.control.HMGet(ctx, c.h.keys[id.Bucket()].rp(row.ID), "s").Result()
		if err != nil {
			return scriptError(err)
		}
		if s[0] == nil || s[0] == "p" || s[0] == "u" {
			return nil
		}
		n, err := c.h.control.Exists(ctx, c.h.keys[b].part(row.ID, part)).Result()
		if err == nil && n == 0 {
			why = fmt.Sprintf("Redis does not know part %d of red packet %s", part, row.ID)
		}
		return scriptError(err)
	})
	return why, err
}

// owned are the shares that the ledger lays at the door of bucket b: those the part began with and
// those it was given, without those it gave. A part can have no others, since a range reaches
// it only when the ledger has the move; nor can a range it gave have come to anybody before.
func owned(sp *spec, part, b int, moves []ledger.Move) []bool {
	has := make([]bool, sp.Count)
	for i := sp.firstOf(part); i < sp.firstOf(part+1); i++ {
		has[i] = true
	}
	for i := range moves {
		m := &moves[i]
		if m.From != b && m.To != b {
			continue
		}
		for s := m.First; s < m.First+m.Count && s < len(has); s++ {
			has[s] = m.To == b
		}
	}
	return has
}

// runs are the stretches of shares that has and does not have taken.
func runs(has, taken []bool) (list [][2]int64) {
	for i := range has {
		switch at := int64(i); {
		case !has[i] || taken[i]:
		case len(list) > 0 && list[len(list)-1][1] == at:
			list[len(list)-1][1]++
		default:
			list = append(list, [2]int64{at, at + 1})
		}
	}
	return list
}

// restorePart writes one part of a spread red packet again, as the ledger knows it.
func (c *Certifier) restorePart(ctx context.Context, b int, set *script.Set, row *ledger.RedPacket, id ID, part int) (held []ledger.Held, err error) {
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return nil, err
	}
	shares, err := amounts(&sp, row.Seed, 2)
	if err != nil {
		return nil, err
	}
	kn, sums, err := c.awards(ctx, &sp)
	if err != nil {
		return nil, err
	}
	k, has := &c.h.keys[b], owned(&sp, part, b, sums.Moves)
	maps.DeleteFunc(kn.winners, func(uid, _ string) bool { return partOf(uid, sp.Spread) != part })
	left := runs(has, kn.taken)
	var heldN, heldFen int64
	kn.freed = 0
	for _, h := range sums.Held {
		switch {
		case !has[h.Share]:
		case h.Released == "":
			heldN, heldFen = heldN+1, heldFen+h.Amount
		default:
			kn.freed++
		}
	}
	ended := slices.Index(sums.ClosedIn, b)
	now := c.h.now()
	if ended < 0 && !c.Trusted && sp.OpensMS <= now.Add(time.Minute).UnixMilli() { // see quarantine
		for _, run := range left {
			for s := run[0]; s < run[1]; s++ {
				held = append(held, ledger.Held{RedPacket: sp.ID, Share: int(s), Home: int(c.h.home), Bucket: b, Epoch: set.Epoch - 1,
					Amount: shares[s], Reason: "may have been won before Redis forgot", At: now.UTC().Truncate(time.Millisecond)})
				heldN, heldFen = heldN+1, heldFen+shares[s]
			}
		}
		left = nil
	}
	if ended >= 0 {
		left = nil // it went back
	}
	r := restoredPart{c: c, set: set, k: k, sp: &sp, shares: shares, id: id, part: part}
	return held, r.write(ctx, row, &kn, &sums, left, ended, heldN, heldFen)
}

// restoredPart is what writing a part again needs.
type restoredPart struct {
	c      *Certifier
	set    *script.Set
	k      *keys
	sp     *spec
	shares []int64
	id     ID
	part   int
}

// write replaces all keys of the part. The first stretch left is its range; others, and
// ranges given to other parts, become notes, which end as those of every move do.
func (r *restoredPart) write(ctx context.Context, row *ledger.RedPacket, kn *known, sums *ledger.Sums, left [][2]int64, ended int, heldN, heldFen int64) error {
	c, k, sp := r.c, r.k, r.sp
	key, text := k.part(sp.ID, r.part), sp.ID
	var now [2]int64
	if len(left) > 0 {
		now = left[0]
	}
	fields := sp.partFields(r.part, sumOf(r.shares[now[0]:now[1]]))
	if r.part == 0 {
		fields = append(sp.fields(), fields...)
	}
	fields = append(fields, "k", text64(now[0]), "n", text64(now[1]), "b", text64(now[0]), "q", text64(heldN), "qa", text64(heldFen), "rl", text64(kn.freed),
		"ot", text64(sp.opened()), "cm", hex.EncodeToString(row.SeedHash), "sd", hex.EncodeToString(row.Seed))
	err := c.call(ctx, r.set, script.Restore, k.base(key, k.fund, k.sh(text), k.notes(text), k.taken(text), key), append([]string{text, "quiet"}, fields...)...)
	if err != nil {
		return err
	}
	digits := encodeShares(r.shares[now[0]:now[1]], int(sp.width()))
	for at := 0; at < len(digits); at += storeChunk {
		chunk := digits[at:min(at+storeChunk, len(digits))]
		if err := c.call(ctx, r.set, script.Store, k.base(key, k.sh(text)), text, text64(int64(at)), string(chunk)); err != nil {
			return err
		}
	}
	if list := sp.listOf(r.part); len(list) > 0 {
		if err := c.h.control.SAdd(ctx, k.list(text), list).Err(); err != nil {
			return scriptError(err)
		}
	}
	if err := c.rewin(ctx, k, r.set, sp, kn); err != nil {
		return err
	}
	given := sums.Moves
	if ended >= 0 { // all of them had arrived before
		given = slices.DeleteFunc(slices.Clone(given), func(m ledger.Move) bool { return m.To != r.id.PartBucket(r.part) })
	}
	last, err := r.moves(ctx, given, left)
	if err != nil {
		return err
	}
	how := "quiet"
	switch {
	case ended >= 0: // part 0 is the last: then it is closed as a whole
		cl := &sums.Closes[ended]
		last = append(last, "s", "c", "ct", text64(cl.At.UnixMilli()), "cs", strconv.FormatUint(cl.Seq, 10), "la", text64(cl.Left))
		if r.part == 0 {
			how = "emit"
			var fen int64
			for _, cl := range sums.Closes {
				fen += cl.Left
			}
			last = append(last, "k", text64(sp.Count-int64(sums.LeftShares)), "n", text64(sp.Count), "la", text64(fen),
				"el", text64(int64(sums.LeftShares)), "ea", text64(fen), "eq", text64(heldN))
		}
	case r.part == 0:
		how = "queue" // the split worker looks for parts that are missing, and opens it
	default:
		last = append(last, "s", "o")
	}
	return c.call(ctx, r.set, script.Restore, k.base(key, k.fund), append([]string{text, how}, last...)...)
}

// moves writes the notes of a part and what it has taken, and tells the fields that count them.
func (r *restoredPart) moves(ctx context.Context, moves []ledger.Move, left [][2]int64) (fields []string, err error) {
	c, k, text := r.c, r.k, r.sp.ID
	b := r.id.PartBucket(r.part)
	var taken []string
	var notes, nl, nf int64
	put := func(move string, to int, first, behind int64) error {
		shares := r.shares[first:behind]
		fen := sumOf(shares)
		notes, nl, nf = notes+1, nl+behind-first, nf+fen
		value := strings.Join([]string{strconv.Itoa(to), text64(first), text64(behind), text64(fen)}, "|")
		return c.call(ctx, r.set, script.Rewin, k.base(k.notes(text)), "4", move, value, "d"+move, string(encodeShares(shares, int(r.sp.width()))))
	}
	for i := range moves {
		m := &moves[i]
		switch b {
		case m.To:
			taken = append(taken, strconv.Itoa(r.id.partIn(m.From))+":"+m.Position().String())
		case m.From:
			if err := put(m.Position().String(), r.id.partIn(m.To), int64(m.First), int64(m.First+m.Count)); err != nil {
				return nil, err
			}
		}
	}
	for i := 1; i < len(left); i++ {
		if err := put("0-"+strconv.Itoa(i), r.part, left[i][0], left[i][1]); err != nil {
			return nil, err
		}
	}
	if len(taken) > 0 {
		if err := c.h.control.SAdd(ctx, k.taken(text), taken).Err(); err != nil {
			return nil, scriptError(err)
		}
	}
	return []string{"nt", text64(notes), "nl", text64(nl), "nf", text64(nf)}, nil
}
