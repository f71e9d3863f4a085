package redpacket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice/gateway/redpacket/script"
)

// table is the prize table of a portal as the script reads it; given counts what has been
// won of each prize already, for a table that is built again.
func (s *spec) table(given map[string]int64) []string {
	if s.Mode != ModePortal {
		return nil
	}
	t := []string{"lines", strconv.Itoa(len(s.Prizes))}
	for i, p := range s.Prizes {
		n := strconv.Itoa(i + 1)
		t = append(t, "n"+n, p.Name, "k"+n, p.Kind, "a"+n, text64(p.Amount), "b"+n, text64(p.Count),
			"p"+n, text64(p.ChancePPM), "g"+n, text64(given[p.Kind+":"+p.Name]))
		for j, code := range p.Codes {
			t = append(t, "c"+n+":"+strconv.Itoa(j), code)
		}
	}
	return t
}

// Tune sets the chances of a portal's prizes, in millionths by name; those not named stay. It
// is a knob with a version: a call with one that is not above the last changes nothing and is
// ErrConflict, so that two operators do not undo each other. Amounts and budgets are funded
// money and cannot be tuned.
func (d *Home) Tune(ctx context.Context, id ID, version int64, chances map[string]int64) error {
	if version < 1 {
		return fieldError("version", CodeTooSmall, "must be at least 1")
	}
	args := []string{text64(version)}
	for name, ppm := range chances {
		if ppm < 0 || ppm > 1_000_000 {
			return fieldError("chances."+clip(name), CodeTooLarge, "must be from 0 to 1000000")
		}
		args = append(args, name, text64(ppm))
	}
	if len(args) > 1+2*MaxPrizes {
		return fieldError("chances", CodeTooLarge, "names more than %d prizes", MaxPrizes)
	}
	k, text := &d.h.keys[id.Bucket()], id.String()
	reply, _, err := d.h.run(ctx, id.Bucket(), script.Tune, k.base(k.rp(text), k.prize(text)), slices.Clip(args), nil)
	if err != nil {
		return err
	}
	switch word, rest, _ := strings.Cut(string(reply), "|"); word {
	case "done":
		return nil
	case "none":
		return ErrNotFound
	case "version":
		return fmt.Errorf("%w: the prize table is of version %s", ErrConflict, rest)
	case "prize":
		return fieldError("chances."+clip(rest), CodeUnknownField, "is not a prize of this red packet")
	case "sum":
		return fieldError("chances", CodeInfeasible, "sum to %s millionths; at most 1000000", rest)
	}
	return oddReply(script.Tune, reply)
}
