package redpacket

import "strconv"

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
