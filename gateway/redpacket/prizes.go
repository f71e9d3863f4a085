package redpacket

import (
	"fmt"
	"slices"
	"strings"

	"sluice/gateway/ledger"
)

// prizesWon counts the wins of a portal against the table of prizes that was funded.
type prizesWon struct {
	table map[string]*Prize // by kind:name, as a win names it
	count map[string]int64
	codes map[string]bool // of coupons
}

func newPrizesWon(sp *spec) *prizesWon {
	p := &prizesWon{table: map[string]*Prize{}, count: map[string]int64{}, codes: map[string]bool{}}
	for i := range sp.Prizes {
		p.table[sp.Prizes[i].Kind+":"+sp.Prizes[i].Name] = &sp.Prizes[i]
	}
	return p
}

// cutPrize cuts a win's prize into kind:name and the code of a coupon.
func cutPrize(prize string) (name, code string) {
	kind, rest, _ := strings.Cut(prize, ":")
	name, code, _ = strings.Cut(rest, ":")
	return kind + ":" + name, code
}

// add counts one win, and tells what does not fit and of which kind of Difference that is; kind is
// "" when all does. A share released to its winner from quarantine names no prize: who knows which?
func (p *prizesWon) add(w *ledger.Win) (kind, detail string) {
	if w.Prize == "" {
		return "", ""
	}
	name, code := cutPrize(w.Prize)
	line := p.table[name]
	if line == nil {
		return Orphan, fmt.Sprintf("won %s, which is no prize of this red packet", w.Prize)
	}
	p.count[name]++
	again := code != "" && p.codes[name+":"+code]
	p.codes[name+":"+code] = true
	_, listed := slices.BinarySearch(line.Codes, code)
	switch {
	case line.Amount != w.Amount:
		return WrongAmount, fmt.Sprintf("won %d fen with %s, which is of %d", w.Amount, name, line.Amount)
	case p.count[name] > line.Count:
		return Orphan, fmt.Sprintf("won %s, of which there are only %d", name, line.Count)
	case again:
		return Double, fmt.Sprintf("the code of %s has another winner too", w.Prize)
	case len(line.Codes) > 0 && !listed:
		return Orphan, fmt.Sprintf("won %s, and that code is not among those funded", w.Prize)
	}
	return "", ""
}
