package redpacket

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// spread sets up and opens the parts of a red packet; part 0 comes last, since its record tells
// everybody that it is open. Each step may be repeated: a part that is there stays as it is.
func (w *SplitWorker) spread(ctx context.Context, id ID, sp *spec, row *ledger.RedPacket) (done, opened bool, err error) {
	shares, err := amounts(sp, row.Seed, w.Workers)
	if err != nil {
		return false, false, err
	}
	for i := sp.parts() - 1; i >= 0; i-- {
		state, err := w.h.setUp(ctx, id, sp, i, shares)
		if err != nil {
			return false, false, fmt.Errorf("part %d: %w", i, err)
		}
		if state == "p" {
			if state, err = w.h.openPart(ctx, id, sp, i, shares, row); err != nil {
				return false, false, fmt.Errorf("part %d: %w", i, err)
			}
			opened = opened || i == 0
		}
		if i == 0 && state != "p" {
			done = true
		}
	}
	return done, opened, nil
}

// setUp makes a part unless it is there, and tells its state.
func (h *House) setUp(ctx context.Context, id ID, sp *spec, part int, shares []int64) (state string, err error) {
	fields := sp.partFields(part, sumOf(shares[sp.firstOf(part):sp.firstOf(part+1)]))
	args := append([]string{strconv.Itoa(len(fields))}, fields...)
	reply, err := h.atPart(ctx, id, part, script.Part, func(k *keys, text string) []string { return []string{k.list(text)} },
		append(args, sp.listOf(part)...)...)
	if err != nil {
		return "", err
	}
	word, state, _ := strings.Cut(reply, "|")
	if word != "done" && word != "again" && word != "state" {
		return "", oddReply(script.Part, []byte(reply))
	}
	return state, nil
}

// openPart stores the shares of a part's range, as its bucket has it, and opens it.
func (h *House) openPart(ctx context.Context, id ID, sp *spec, part int, shares []int64, row *ledger.RedPacket) (state string, err error) {
	list := h.pieces(ctx, id, sp.parts(), 0)
	if list[part].err != nil {
		return "", list[part].err
	}
	args := []string{hex.EncodeToString(row.SeedHash), hex.EncodeToString(row.Seed), ""}
	if part == 0 {
		if err := broken(list); err != nil {
			return "", err
		}
		args = append(args, totalArgs(list)...)
	}
	first, behind := list[part].b, list[part].n
	if first < 0 || behind < first || behind > sp.Count {
		return "", fmt.Errorf("%w: it has the shares %d to %d of %d", ErrFrozen, first, behind, sp.Count)
	}
	digits := encodeShares(shares[first:behind], int(sp.width()))
	if len(digits) <= checkLimit && len(digits) > 0 {
		sum := sha1.Sum(digits)
		args[2] = hex.EncodeToString(sum[:])
	}
	sh := func(k *keys, text string) []string { return []string{k.sh(text)} }
	for at := 0; at < len(digits); at += storeChunk {
		reply, err := h.atPart(ctx, id, part, script.Store, sh, text64(int64(at)), string(digits[at:min(at+storeChunk, len(digits))]))
		if word, state, _ := strings.Cut(reply, "|"); err != nil || word == "state" {
			return state, err // another worker was faster
		} else if reply != "done" {
			return "", oddReply(script.Store, []byte(reply))
		}
	}
	reply, err := h.atPart(ctx, id, part, script.Open, sh, args...)
	if err != nil {
		return "", err
	}
	word, state, _ := strings.Cut(reply, "|")
	if word != "done" && word != "state" {
		return "", oddReply(script.Open, []byte(reply))
	}
	return state, nil
}

func sumOf(shares []int64) (fen int64) {
	for _, s := range shares {
		fen += s
	}
	return fen
}
