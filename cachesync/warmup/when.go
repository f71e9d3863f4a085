package warmup

import (
	"fmt"
	"strings"
	"time"
)

// Clock reads "20:00", "20:00+08:00", "20:00Z" or a whole RFC 3339 time: the next
// such moment after now. Without a zone it is local time.
func Clock(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	loc := now.Location()
	clock := s
	if i := strings.IndexAny(s, "+-Z"); i > 0 {
		z, err := time.Parse("Z07:00", s[i:])
		if err != nil {
			return time.Time{}, fmt.Errorf("%q: the zone is +08:00, -05:00 or Z", s)
		}
		clock, loc = s[:i], z.Location()
	}
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time: 20:00, 20:00+08:00 or RFC 3339", s)
	}
	n := now.In(loc)
	at := time.Date(n.Year(), n.Month(), n.Day(), t.Hour(), t.Minute(), 0, 0, loc)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at, nil
}

// NextHour is the next full hour after now.
func NextHour(now time.Time) time.Time { return now.Truncate(time.Hour).Add(time.Hour) }
