package redpacket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// note is a range on its way from one part to another, as the giving part keeps it.
type note struct {
	move          string // <epoch>-<seq> of the give event; "0-<n>": kept by a part for itself
	to            int
	first, behind int64
	fen           int64
}

func parseNote(move, value string) (note, error) {
	c := cutter{rest: value, sep: '|'}
	n := note{move: move, to: int(c.int()), first: c.int(), behind: c.int(), fen: c.int()}
	if c.bad || n.first < 0 || n.behind <= n.first {
		return n, fmt.Errorf("%w: the note %s of a move reads %q", ErrFrozen, move, value)
	}
	return n, nil
}

// own says that a restored part keeps the range for itself: no event tells of it.
func (n *note) own() bool { return strings.HasPrefix(n.move, "0-") }

// name is the move as the receiving part remembers it.
func (n *note) name(from int) string { return strconv.Itoa(from) + ":" + n.move }

// posted reports whether the ledger has the move out of bucket b, and as the note says.
func (n *note) posted(moves []ledger.Move, b int) (bool, error) {
	for i := range moves {
		m := &moves[i]
		if m.From != b || m.Position().String() != n.move {
			continue
		}
		if int64(m.First) != n.first || int64(m.First+m.Count) != n.behind || m.Amount != n.fen {
			return false, fmt.Errorf("%w: the ledger has another move %s out of bucket %d than its note says", ErrFrozen, n.move, b)
		}
		return true, nil
	}
	return false, nil
}

// mover tells which moves the ledger has.
type mover interface {
	Moves(ctx context.Context, redPacket string) ([]ledger.Move, error)
}

// deliver brings the ranges that parts have given to the parts they are for, once the ledger knows
// of the move. Everybody may do it, at any time and any number of times: the receiver takes a
// move once, and only then its note is cleared. waiting is how many notes remain.
func (h *House) deliver(ctx context.Context, l mover, id ID, list []piece) (waiting int, err error) {
	text := id.String()
	var moves []ledger.Move
	var errs []error
	for i := range list {
		p := &list[i]
		if p.err != nil || p.notes == 0 {
			continue
		}
		if moves == nil {
			if moves, err = l.Moves(ctx, text); err != nil {
				return 0, fmt.Errorf("reading moves of %s: %w", text, err)
			}
		}
		all, err := h.control.HGetAll(ctx, h.keys[p.bucket].notes(text)).Result()
		if err != nil {
			errs = append(errs, scriptError(err))
			continue
		}
		for _, move := range slices.Sorted(maps.Keys(all)) {
			if strings.HasPrefix(move, "d") {
				continue
			}
			done, err := h.deliverOne(ctx, id, p, moves, move, all[move], all["d"+move])
			if err != nil {
				errs = append(errs, fmt.Errorf("move %s of %s: %w", move, text, err))
			}
			if !done {
				waiting++
			}
		}
	}
	return waiting, errors.Join(errs...)
}

func (h *House) deliverOne(ctx context.Context, id ID, from *piece, moves []ledger.Move, move, value, digits string) (done bool, err error) {
	n, err := parseNote(move, value)
	if err != nil {
		return false, err
	}
	if !n.own() {
		if ok, err := n.posted(moves, from.bucket); err != nil || !ok {
			return false, err
		}
	}
	reply, err := h.atPart(ctx, id, n.to, script.Take, func(k *keys, text string) []string { return []string{k.sh(text), k.taken(text)} },
		n.name(from.index), text64(n.first), text64(n.behind), text64(n.fen), digits)
	if err != nil || reply != "done" && reply != "again" { // not dry yet, not open yet
		return false, err
	}
	_, err = h.atPart(ctx, id, from.index, script.Clear, func(k *keys, text string) []string { return []string{k.notes(text)} }, move)
	return err == nil, err
}
