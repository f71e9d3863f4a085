package redpacket

import (
	"context"
	"fmt"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// unholdEvery is how often a red packet with quarantined shares is compared with the ledger.
const unholdEvery = 30 * 1000 // ms

// Unhold brings a bucket's red packet up to what the ledger has released from quarantine: who was
// given a share hears `already`, and when none is held any more the others hear soldout or closed
// instead of "later". The ledger decides, so it may be repeated; the Closer does now and then,
// and `sluice redpacket release` at once.
func Unhold(ctx context.Context, h *House, l ReconcileLedger, id ID) error {
	text := id.String()
	k := &h.keys[id.Bucket()]
	row, err := l.RedPacket(ctx, text)
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, err)
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return err
	}
	opened, err := h.control.HGet(ctx, k.rp(text), "ot").Int64()
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, scriptError(err))
	}
	var wins []ledger.Win
	sums, err := l.Reconcile(ctx, text, func(a *ledger.Award) error {
		wins = append(wins, a.Win)
		return nil
	})
	if err != nil {
		return fmt.Errorf("unhold %s: %w", text, err)
	}
	given := map[int]bool{}
	var released, held, fen int64
	for _, s := range sums.Held {
		switch s.Released {
		case "":
			held, fen = held+1, fen+s.Amount
		default:
			released, given[s.Share] = released+1, s.Released == "award"
		}
	}
	call := func(keys []string, more ...string) error {
		args := append([]string{text, text64(released), text64(held), text64(fen)}, more...)
		reply, _, err := h.run(ctx, id.Bucket(), script.Unhold, keys, args, nil)
		if err == nil && string(reply) != "done" && string(reply) != "again" {
			err = oddReply(script.Unhold, reply)
		}
		return err
	}
	for i := range wins {
		w := &wins[i]
		if !given[w.Share] {
			continue
		}
		who, value := winnerEntry(&sp, w, opened)
		record := "w:" + text + ":" + w.UID
		if sp.Mode == ModePortal {
			record = "" // a portal's wins have none
		}
		payload := fmt.Sprintf("%d,%d,%d", w.Share, w.Amount, w.At.UnixMilli())
		if err := call(k.base(k.rp(text), k.winners(text, w.UID, sp.Parts)), who, value, record, payload); err != nil {
			return err
		}
	}
	return call(k.base(k.rp(text)))
}

// winnerEntry is how a winners' hash holds a win: who has it, and "share,amount,ms[,prize]".
func winnerEntry(sp *spec, w *ledger.Win, openedMS int64) (who, value string) {
	who, value = w.UID, fmt.Sprintf("%d,%d,%d", w.Share, w.Amount, w.At.UnixMilli()-openedMS)
	if sp.Mode == ModePortal {
		return who + "|" + w.N, value + "," + w.Prize
	}
	return who, value
}
