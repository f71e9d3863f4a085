package apply

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// linkClock measures a link against itself: the smallest age a heartbeat ever showed within
// the last minutes is the way there plus the difference of the two clocks. What is beyond it
// is lag. It needs no clocks that agree.
type linkClock struct {
	mu       sync.Mutex
	cur, old int64 // smallest age in ms in this and the last window; valid when have says so
	have     int   // 0 none, 1 cur, 2 both
	since    time.Time
	last     time.Time
}

const linkWindow = time.Minute

func (c *linkClock) beat(ms int64, now time.Time) {
	age := now.UnixMilli() - ms
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = now
	switch {
	case c.have == 0:
		c.cur, c.have, c.since = age, 1, now
	case now.Sub(c.since) >= linkWindow:
		c.old, c.cur, c.have, c.since = c.cur, age, 2, now
	default:
		c.cur = min(c.cur, age)
	}
}

// floor is the link's own minimum, in ms; 0 while no heartbeat was heard.
func (c *linkClock) floor() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have == 2 {
		return min(c.cur, c.old)
	}
	return c.cur
}

// lag is the age of something committed at ms, beyond the link's own minimum.
func (c *linkClock) lag(ms int64, now time.Time) time.Duration {
	return max(0, time.Duration(now.UnixMilli()-ms-c.floor())*time.Millisecond)
}

// heard is when the last heartbeat came.
func (c *linkClock) heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// lagWindow is a histogram of lags in ms over the last one to two windows' worth of writes.
type lagWindow struct {
	cur, old *hdrhistogram.Histogram
	max      time.Duration
}

const lagWindowSize = 1 << 17

func (l *lagWindow) record(d time.Duration) {
	if l.cur == nil {
		l.cur, l.old = hdrhistogram.New(1, 3_600_000, 2), hdrhistogram.New(1, 3_600_000, 2)
	}
	l.max = max(l.max, d)
	l.cur.RecordValue(min(max(1, d.Milliseconds()), 3_600_000))
	if l.cur.TotalCount() >= lagWindowSize {
		l.cur, l.old = l.old, l.cur
		l.cur.Reset()
	}
}

func (l *lagWindow) quantile(q float64) time.Duration {
	h := l.cur
	if h == nil {
		return 0
	}
	if h.TotalCount() < lagWindowSize/8 && l.old.TotalCount() > 0 {
		h = l.old
	}
	return time.Duration(h.ValueAtQuantile(q)) * time.Millisecond
}
