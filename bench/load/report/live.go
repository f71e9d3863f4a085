package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/bench/load/record"
)

// Live draws one line that is written over again and again.
type Live struct {
	w     io.Writer
	total time.Duration
	last  int64
	at    time.Duration
	width int
}

// NewLive shows a run of total length on w, a terminal.
func NewLive(w io.Writer, total time.Duration) *Live { return &Live{w: w, total: total} }

// Show is a load.Config's View.
func (l *Live) Show(rs []*record.Recorder, at time.Duration) {
	s := record.Look(rs, at)
	rate := float64(s.Requests-l.last) / max((at-l.at).Seconds(), 1e-3)
	l.last, l.at = s.Requests, at
	const cells = 5 // all of it fits into 80 columns: a line that wraps cannot be written over
	done := min(cells, int(cells*at/max(l.total, 1)))
	text := fmt.Sprintf("%s%s %.1fs %.0f/s done %d errors %d p50 %s p99 %s lag %s", strings.Repeat("#", done), strings.Repeat(".", cells-done),
		at.Seconds(), rate, s.Requests, s.Errors, Span(float64(s.P50)/1e3), Span(float64(s.P99)/1e3), Span(float64(s.LagP99)/1e3))
	fmt.Fprintf(l.w, "\r%-*s", l.width, text)
	l.width = len(text)
}

// End leaves the line.
func (l *Live) End() {
	if l.width > 0 {
		fmt.Fprintf(l.w, "\r%*s\r", l.width, "")
	}
}

// Span prints microseconds for people.
func Span(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2fs", us/1e6)
	case us >= 1e4:
		return fmt.Sprintf("%.1fms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.2fms", us/1e3)
	}
	return fmt.Sprintf("%.0fus", us)
}
