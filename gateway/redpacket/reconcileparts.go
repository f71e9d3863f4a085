package redpacket

import (
	"fmt"
	"strings"

	"sluice/gateway/ledger"
)

// parts reads what a spread red packet's part has besides: ranges that came late ("5-7,9-10,"),
// notes ("move|part|first|behind|fen") and moves taken.
func (c *cut) parts(late string, notes, taken any) error {
	for _, run := range strings.Split(strings.TrimSuffix(late, ","), ",") {
		if run == "" {
			continue
		}
		f := cutter{rest: run, sep: '-'}
		one := [2]int64{f.int(), f.int()}
		if f.bad {
			return fmt.Errorf("%w: a part has the range %q", ErrFrozen, run)
		}
		c.late = append(c.late, one)
	}
	list, _ := notes.([]any)
	for _, one := range list {
		text, _ := one.(string)
		move, value, _ := strings.Cut(text, "|")
		n, err := parseNote(move, value)
		if err != nil {
			return err
		}
		c.notes = append(c.notes, n)
	}
	c.taken = map[string]bool{}
	list, _ = taken.([]any)
	for _, one := range list {
		text, _ := one.(string)
		c.taken[text] = true
	}
	return nil
}

// transit finds the ranges that are on their way between parts, and counts each once as left. The parts
// were read one after the other, so a range may be neither where it came from nor where it goes;
// but a part takes a range only when the ledger has its move. So: what is known as given and not
// as taken is on its way. again says that a part took what was given behind the reading.
func (t *tally) transit(id ID, cuts []cut, moves []ledger.Move) (again bool) {
	if len(cuts) == 1 {
		return false
	}
	t.road = map[int]bool{}
	given := map[string]bool{}
	on := func(first, behind, fen int64) {
		t.r.Left += fen
		for s := first; s < behind; s++ {
			t.road[int(s)] = true
		}
	}
	for i := range moves {
		m := &moves[i]
		from, to := id.partIn(m.From), id.partIn(m.To)
		if from >= len(cuts) || to >= len(cuts) {
			t.r.differ(Orphan, int64(m.First), "", "moved from bucket %d to %d, which are not its own", m.From, m.To)
			continue
		}
		name := fmt.Sprintf("%d:%s", from, m.Position())
		given[fmt.Sprint(to, " ", name)] = true
		if cuts[to].taken[name] || !cuts[to].found || cuts[to].state == "c" {
			continue
		}
		on(int64(m.First), int64(m.First+m.Count), m.Amount)
		noted := false
		for _, n := range cuts[from].notes {
			noted = noted || n.move == m.Position().String()
		}
		if !noted {
			t.lost = true
			t.r.differ(Missing, int64(m.First), "", "%d shares went from part %d to part %d, which has not got them, and no note of them is left", m.Count, from, to)
		}
	}
	for i := range cuts {
		for name := range cuts[i].taken {
			again = again || !given[fmt.Sprint(i, " ", name)] && !strings.Contains(name, ":0-")
		}
		for _, n := range cuts[i].notes {
			if n.own() && !cuts[i].taken[n.name(i)] {
				on(n.first, n.behind, n.fen)
			}
		}
	}
	return again
}

// unset reports whether the split worker has yet to set up a part, which then has the whole of the
// range it begins with.
func (t *tally) unset(cuts []cut, part int) bool {
	c := &cuts[part]
	if part == 0 { // one that is closed and written again has all shares too, when none was won
		return c.found && c.state != "c" && c.k == 0 && c.n == t.sp.Count
	}
	return !c.found && cuts[0].found && (cuts[0].state == "p" || cuts[0].state == "u")
}

// sumParts adds up what the parts have left.
func (t *tally) sumParts(cuts []cut) {
	ended, missing := 0, 0
	for i := range cuts {
		switch c := &cuts[i]; {
		case t.unset(cuts, i):
			t.r.Left += sumOf(t.plan[t.sp.firstOf(i):t.sp.firstOf(i+1)])
		case c.state == "c":
			ended++
		case c.found:
			t.r.Left += c.left
		default:
			missing++
		}
	}
	switch {
	case ended > t.ends || ended+missing < t.ends:
		t.r.differ(Unbalanced, -1, "", "%d of %d parts are closed in Redis, and %d close events are known", ended, len(cuts), t.ends)
	case missing > 0 && t.ends == 0:
		t.r.differ(Missing, -1, "", "Redis does not know %d of %d parts", missing, len(cuts))
	}
}

// checkParts holds each share against the ranges of the parts.
func (t *tally) checkParts(cuts []cut, s *ledger.Sums) {
	left := map[int64]int{}
	for i := range cuts {
		c := &cuts[i]
		ranges := append([][2]int64{{c.k, c.n}}, c.late...)
		if t.unset(cuts, i) {
			ranges = [][2]int64{{t.sp.firstOf(i), t.sp.firstOf(i + 1)}}
		} else if !c.found || c.state == "c" {
			continue
		}
		for _, run := range ranges {
			for share := max(0, run[0]); share < min(run[1], t.sp.Count); share++ {
				if t.has[share] {
					t.r.differ(Orphan, share, "", "won, and part %d still has it to give", i)
				}
				if other, ok := left[share]; ok || t.road[int(share)] {
					t.r.differ(Double, share, "", "part %d has it to give, and it is on its way or in part %d too", i, other)
				}
				left[share] = i
			}
		}
	}
	var gone []int64
	for share := range t.sp.Count {
		if _, ok := left[share]; !ok && !t.has[share] && !t.road[int(share)] && !t.released(s, share) {
			gone = append(gone, share)
		}
	}
	switch {
	case t.ends == 0:
		for _, share := range gone {
			t.r.differ(Missing, share, "", "taken, and no award, event, quarantine or part is known")
		}
	case int64(len(gone)) != t.back:
		t.r.differ(Missing, -1, "", "%d shares are neither won, held nor left in any part, and %d went back to the sender", len(gone), t.back)
	}
}
