package redpacket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// unholdEvery is how often a red packet with quarantined shares is compared with the ledger.
const unholdEvery = 30 * 1000 // ms

// Unhold brings a red packet up to what the ledger has released from quarantine: who was given
// a share hears `already`, and when none is held any more the others hear soldout or closed
// instead of "later". The ledger decides, so it may be repeated; the Closer does now and then,
// and `sluice redpacket release` at once. Of a spread one each part is told of the shares it
// held, a winner's part of the win, and the record, by part 0, of what all parts hold.
func Unhold(ctx context.Context, h *House, l ReconcileLedger, id ID) error {
	text := id.String()
	row, err := l.RedPacket(ctx, text)
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, err)
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return err
	}
	var wins []ledger.Win
	sums, err := l.Reconcile(ctx, text, func(a *ledger.Award) error {
		wins = append(wins, a.Win)
		return nil
	})
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, err)
	}
	u := unholding{h: h, id: id, sp: &sp, opened: map[int]int64{}}
	parts, given := countHeld(id, sp.parts(), sums.Held)
	for i := range wins {
		if given[wins[i].Share] {
			err = errors.Join(err, u.win(ctx, &wins[i]))
		}
	}
	for i := len(parts) - 1; i >= 0 && err == nil; i-- {
		err = u.call(ctx, i, nil, text64(parts[i].released), text64(parts[i].held), text64(parts[i].fen))
	}
	if err == nil && len(parts) > 1 {
		err = u.tell(ctx, len(parts))
	}
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, err)
	}
	return nil
}

// heldSums are the quarantined shares of a part, as the ledger counts them.
type heldSums struct{ released, held, fen int64 }

// countHeld sums up the quarantine part by part, and tells which shares were given to a winner.
func countHeld(id ID, parts int, held []ledger.Held) (sums []heldSums, given map[int]bool) {
	sums, given = make([]heldSums, parts), map[int]bool{}
	for i := range held {
		s, part := &held[i], id.partIn(held[i].Bucket)
		if part >= parts { // of one that is not spread
			part = 0
		}
		switch p := &sums[part]; s.Released {
		case "":
			p.held, p.fen = p.held+1, p.fen+s.Amount
		default:
			p.released, given[s.Share] = p.released+1, s.Released == "award"
		}
	}
	return sums, given
}

// unholding is one run of Unhold.
type unholding struct {
	h      *House
	id     ID
	sp     *spec
	opened map[int]int64 // by part, Unix ms
}

// win writes who was given a share where that user's outcomes are.
func (u *unholding) win(ctx context.Context, w *ledger.Win) error {
	part := partOf(w.UID, u.sp.Spread)
	k, text := &u.h.keys[u.id.PartBucket(part)], u.id.String()
	opened, known := u.opened[part]
	if !known {
		var err error
		if opened, err = u.h.control.HGet(ctx, k.part(text, part), "ot").Int64(); err != nil {
			return scriptError(err)
		}
		u.opened[part] = opened
	}
	who, value := winnerEntry(u.sp, w, opened)
	record := "w:" + text + ":" + w.UID
	if u.sp.Mode == ModePortal {
		record = "" // a portal's wins have none
	}
	return u.call(ctx, part, []string{k.winners(text, w.UID, u.sp.WinnerHashes)}, "0", "0", "0",
		who, value, record, fmt.Sprintf("%d,%d,%d", w.Share, w.Amount, w.At.UnixMilli()))
}

// tell brings the record of a spread red packet up to what all its parts hold.
func (u *unholding) tell(ctx context.Context, parts int) error {
	for {
		list := u.h.pieces(ctx, u.id, parts, 0)
		if err := broken(list); err != nil {
			return err
		}
		reply, err := u.h.atPart(ctx, u.id, 0, script.Tick, nil, totalArgs(list)...)
		switch {
		case err != nil:
			return err
		case reply == "done", reply == "same":
			return nil
		case reply != "wait":
			return oddReply(script.Tick, []byte(reply))
		}
		if err := u.h.sleep(ctx, 100*time.Millisecond); err != nil { // at most a record in that time
			return err
		}
	}
}

func (u *unholding) call(ctx context.Context, part int, more []string, args ...string) error {
	reply, err := u.h.atPart(ctx, u.id, part, script.Unhold, func(*keys, string) []string { return more }, args...)
	if err == nil && reply != "done" && reply != "again" {
		err = oddReply(script.Unhold, []byte(reply))
	}
	return err
}

// winnerEntry is how a winners' hash holds a win: who has it, and "share,amount,ms[,prize]".
func winnerEntry(sp *spec, w *ledger.Win, openedMS int64) (who, value string) {
	who, value = w.UID, fmt.Sprintf("%d,%d,%d", w.Share, w.Amount, w.At.UnixMilli()-openedMS)
	if sp.Mode == ModePortal {
		return who + "|" + w.N, value + "," + w.Prize
	}
	return who, value
}
