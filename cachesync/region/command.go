package region

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Table prints the list of regions.
func Table(w io.Writer, list []Region) {
	fmt.Fprintf(w, "%-16s %-8s %-9s %8s %9s %9s %12s %9s %6s  %s\n",
		"REGION", "CLASS", "STATE", "LAG MS", "P50 MS", "P99 MS", "APPLIED", "BACKLOG", "GAPS", "MODES SET/COLLAPSE/INVALIDATE")
	for _, r := range list {
		p := r.Report
		note := fmt.Sprintf("%d/%d/%d", p.Modes[0], p.Modes[1], p.Modes[2])
		if p.Step != "" {
			note += fmt.Sprintf("  %s %.0f%%", p.Step, 100*p.Progress)
		}
		if len(p.Nines) > 0 {
			note += "  probes"
			for _, h := range Horizons {
				note += " " + h + ":" + p.Nines[h]
			}
		}
		for _, name := range slices.Sorted(maps.Keys(p.Proofs)) {
			if name != r.Name {
				note += fmt.Sprintf("  in %s %s", name, p.Proofs[name])
			}
		}
		fmt.Fprintf(w, "%-16s %-8s %-9s %8.1f %9.1f %9.1f %12d %9d %6d  %s\n",
			r.Name, r.Class, r.State, p.LagMS, p.P50MS, p.P99MS, p.Applied, p.Backlog, p.Gaps, note)
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "no region is there: start one with `sluice sync -c sluice.yaml`")
	}
}

// Top prints the list again and again, in place, until the context ends.
func Top(ctx context.Context, w io.Writer, r *Registry, every time.Duration) error {
	for {
		list, err := r.List(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var b strings.Builder
		b.WriteString("\x1b[H\x1b[2J")
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		} else {
			Table(&b, list)
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// Await waits until a region has reached a state ("" means: is off the list), printing each
// step: what `sluice region join` and `drain` do after their word.
func Await(ctx context.Context, w io.Writer, r *Registry, name string, want State) error {
	last := ""
	for {
		list, err := r.List(ctx)
		if err != nil {
			return err
		}
		state, step := State(""), ""
		for _, one := range list {
			if one.Name == name {
				state, step = one.State, one.Report.Step
			}
		}
		if now := strings.TrimSpace(string(state) + " " + step); now != last {
			if now == "" {
				now = "not there"
			}
			fmt.Fprintf(w, "%s: %s\n", name, now)
			last = now
		}
		if state == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("region: %s is %q, not %q: %w", name, state, want, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
