package warmup

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// Lines tells the progress in plain lines: for logs and cron mails.
type Lines struct {
	Out   io.Writer
	Every time.Duration // zero value means 10 s

	last time.Time
	late bool
}

// Watch prints a line now and then, and at once when the run becomes late.
func (l *Lines) Watch(p Progress) {
	every := l.Every
	if every <= 0 {
		every = 10 * time.Second
	}
	now := time.Now()
	if p.End != nil || now.Sub(l.last) < every && p.Late == l.late {
		return
	}
	l.last, l.late = now, p.Late
	fmt.Fprintf(l.Out, "%s warm %s: %s\n", now.Format("15:04:05"), p.Set, p.line())
}

// Bars draws the progress on a terminal: one bar for the source, a line for
// each region.
type Bars struct {
	Out io.Writer

	mu       sync.Mutex
	now      Progress
	progress *mpb.Progress
	bars     []*mpb.Bar
}

// IsTerminal reports whether bars can be drawn on f.
func IsTerminal(f *os.File) bool { return cwriter.IsTerminal(int(f.Fd())) }

const barSteps = 1000

// Watch draws.
func (b *Bars) Watch(p Progress) {
	b.mu.Lock()
	b.now = p
	b.mu.Unlock()
	if b.progress == nil {
		b.begin(p)
	}
	for _, bar := range b.bars {
		bar.SetCurrent(int64(max(0, p.Fraction) * barSteps))
	}
	if p.End != nil {
		for _, bar := range b.bars {
			bar.EnableTriggerComplete()
			bar.Abort(false)
		}
		b.progress.Wait()
	}
}

func (b *Bars) begin(p Progress) {
	b.progress = mpb.New(mpb.WithOutput(b.Out), mpb.WithWidth(40), mpb.WithRefreshRate(250*time.Millisecond))
	b.bars = append(b.bars, b.progress.AddBar(barSteps, mpb.PrependDecorators(decor.Name(p.Set+" ")), mpb.AppendDecorators(decor.Any(b.text(-1)))))
	for i := range p.Regions {
		b.bars = append(b.bars, b.progress.New(barSteps, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(b.text(i)))))
	}
}

// text is the line of region i, or of the source for -1.
func (b *Bars) text(i int) func(decor.Statistics) string {
	return func(decor.Statistics) string {
		b.mu.Lock()
		p := b.now
		b.mu.Unlock()
		if i >= 0 && i < len(p.Regions) {
			r := p.Regions[i]
			s := fmt.Sprintf("  %-10s %12d written %10d kept %8d missed %8d evictions", r.Name, r.Written, r.Kept, r.Missed, r.Evictions)
			if r.Limit > 0 {
				s += fmt.Sprintf("  limit %.0f/s", r.Limit)
			}
			return s
		}
		p.Regions = nil
		return " " + p.line()
	}
}

// Watchers tells several.
type Watchers []Watcher

// Watch tells each.
func (w Watchers) Watch(p Progress) {
	for _, one := range w {
		one.Watch(p)
	}
}
