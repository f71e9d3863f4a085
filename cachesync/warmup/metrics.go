package warmup

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sluice/cachesync/warmup/state"
)

// MetricsFile writes the progress for node_exporter's textfile collector: the
// file is replaced every ten seconds and at the end. Metrics:
//
//	sluice_warm_rows                       rows read
//	sluice_warm_bad_rows                   rows that could not be used
//	sluice_warm_rows_per_second
//	sluice_warm_fraction                   of the source, 0..1
//	sluice_warm_seconds_left               -1 when unknown
//	sluice_warm_late                       1 when it will not be, or was not, done in time
//	sluice_warm_records{region,outcome}    written, kept, missed
//	sluice_warm_evictions{region}
//	sluice_warm_coverage{region,bound}     low, point, high; at the end of the source
//	sluice_warm_exit                       exit code; at the end
//	sluice_warm_end_time_seconds           at the end
type MetricsFile struct {
	Path string
	Log  *slog.Logger

	last time.Time
}

// Watch writes now and then.
func (m *MetricsFile) Watch(p Progress) {
	now := time.Now()
	if p.End == nil && now.Sub(m.last) < 10*time.Second {
		return
	}
	m.last = now
	if err := state.Replace(m.Path, []byte(metricsText(p, now))); err != nil && m.Log != nil {
		m.Log.Warn("warm: metrics not written", "err", err)
	}
}

func metricsText(p Progress, now time.Time) string {
	var b strings.Builder
	seen := map[string]bool{}
	put := func(name, labels string, v float64) {
		if !seen[name] {
			fmt.Fprintf(&b, "# TYPE sluice_warm_%s gauge\n", name)
			seen[name] = true
		}
		fmt.Fprintf(&b, "sluice_warm_%s{set=%q%s} %g\n", name, p.Set, labels, v)
	}
	put("rows", "", float64(p.Rows))
	put("bad_rows", "", float64(p.Bad))
	put("rows_per_second", "", p.Rate)
	put("fraction", "", max(0, p.Fraction))
	left := -1.0
	if p.Left >= 0 {
		left = p.Left.Seconds()
	}
	put("seconds_left", "", left)
	late := 0.0
	if p.Late || p.End != nil && p.End.Exit == ExitLate {
		late = 1
	}
	put("late", "", late)
	for _, r := range p.Regions {
		for _, o := range []struct {
			name string
			n    int64
		}{{"written", r.Written}, {"kept", r.Kept}, {"missed", r.Missed}} {
			put("records", fmt.Sprintf(",region=%q,outcome=%q", r.Name, o.name), float64(o.n))
		}
	}
	for _, r := range p.Regions {
		put("evictions", fmt.Sprintf(",region=%q", r.Name), float64(r.Evictions))
	}
	if p.End == nil {
		return b.String()
	}
	for _, r := range p.End.Regions {
		if r.Coverage == nil || p.End.Partial {
			continue
		}
		put("coverage", fmt.Sprintf(",region=%q,bound=\"low\"", r.Name), r.Low)
		put("coverage", fmt.Sprintf(",region=%q,bound=\"point\"", r.Name), r.Coverage.Fraction())
		put("coverage", fmt.Sprintf(",region=%q,bound=\"high\"", r.Name), r.High)
	}
	put("exit", "", float64(p.End.Exit))
	put("end_time_seconds", "", float64(now.Unix()))
	return b.String()
}
