package warmup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"sluice/cachesync/warmup/proof"
)

// Result of a run, as --json prints it.
type Result struct {
	Set        string         `json:"set"`
	Source     string         `json:"source"`
	Exit       Exit           `json:"exit"`
	Outcome    string         `json:"outcome"`
	Reason     string         `json:"reason,omitempty"`
	Resumed    bool           `json:"resumed"`
	Partial    bool           `json:"partial"` // the source was not read to its end: coverage is of what was read
	Rows       int64          `json:"rows"`
	Bad        int64          `json:"bad"`
	FirstBad   []string       `json:"first_bad,omitempty"`
	Filtered   int64          `json:"filtered"`
	Duplicates int64          `json:"duplicates"`
	Estimated  bool           `json:"duplicates_estimated"` // too many keys to count them exactly
	Bytes      int64          `json:"bytes"`
	Seconds    float64        `json:"seconds"`
	RowsPerS   float64        `json:"rows_per_s"` // of this run, without what it resumed
	Again      []string       `json:"again,omitempty"`
	Regions    []RegionResult `json:"regions"`
}

// RegionResult is what became of the set in one region.
type RegionResult struct {
	Name      string          `json:"name"`
	Stored    int64           `json:"stored"`
	Replaced  int64           `json:"replaced"` // an older record was there
	Kept      int64           `json:"kept"`     // as new or newer was there
	Repaired  int64           `json:"repaired"` // what was there was no record
	Refused   int64           `json:"refused"`  // memcached will never take it
	Missed    int64           `json:"missed"`   // node down, before it was warmed again
	Evictions int64           `json:"evictions"`
	Backoffs  int64           `json:"backoffs"`
	Nodes     []NodeResult    `json:"nodes"`
	Coverage  *proof.Coverage `json:"coverage,omitempty"`
	Low       float64         `json:"coverage_low"` // bounds at 95 %
	High      float64         `json:"coverage_high"`
}

// NodeResult is the memory of a node afterwards.
type NodeResult struct {
	Addr  string `json:"addr"`
	Items int64  `json:"items"`
	Bytes int64  `json:"bytes"`
	Limit int64  `json:"limit"`
}

func (r *run) regionResult(t *target) *RegionResult {
	for i := range r.result.Regions {
		if r.result.Regions[i].Name == t.Name {
			return &r.result.Regions[i]
		}
	}
	r.result.Regions = append(r.result.Regions, RegionResult{Name: t.Name})
	return &r.result.Regions[len(r.result.Regions)-1]
}

// total fills in what the targets counted, while they are still connected.
func (r *run) total(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	for _, t := range r.targets {
		q := r.regionResult(t)
		q.Stored, q.Replaced, q.Kept, q.Repaired = t.stored.Load(), t.replaced.Load(), t.kept.Load(), t.repaired.Load()
		q.Refused, q.Missed, q.Evictions, q.Backoffs = t.refused.Load(), t.missed.Load(), t.evictions.Load(), t.backoffs.Load()
		if q.Coverage != nil {
			q.Low, q.High = q.Coverage.Interval()
		}
		for _, addr := range t.c.Nodes() {
			h, err := t.c.NodeHealth(ctx, addr)
			if err != nil {
				q.Nodes = append(q.Nodes, NodeResult{Addr: addr + " (does not answer)"})
				continue
			}
			q.Nodes = append(q.Nodes, NodeResult{Addr: addr, Items: h.Items, Bytes: h.Bytes, Limit: h.LimitBytes})
		}
	}
}

func (res *Result) complete(r *run, err error) {
	res.Set, res.Resumed, res.Partial = r.cfg.Set, r.resumed, r.warmed.IsZero()
	if r.cfg.Feed != nil {
		res.Source = r.cfg.Feed.Name()
	}
	res.Exit = ExitOf(err)
	res.Outcome = res.Exit.String()
	if err != nil {
		res.Reason = reason(err)
	}
	res.Seconds = r.cfg.Clock().Sub(r.begin).Seconds()
	if r.ledger == nil {
		return
	}
	c := r.ledger.totals()
	res.Rows, res.Bad, res.Filtered, res.Bytes = c.Rows, c.Bad, c.Filtered, c.Bytes
	distinct, stderr := r.ledger.sample.Distinct()
	// Within two standard errors of none there are none worth telling.
	if dup := float64(c.Rows-c.Bad-c.Filtered) - distinct; dup > 2*stderr {
		res.Duplicates = int64(math.Round(dup))
	}
	res.Estimated = stderr > 0
	if end := r.warmed; !end.IsZero() {
		res.RowsPerS = float64(c.Rows-r.rowsAtStart) / max(end.Sub(r.begin).Seconds(), 1e-9)
	}
}

// print writes the result as a line of JSON.
func (res Result) print(w io.Writer) {
	line, _ := json.Marshal(res)
	fmt.Fprintf(w, "%s\n", line)
}

// Line is the last line of a run: what a cron mail shows.
func (res Result) Line() string {
	s := "warm " + res.Set + ": " + res.Outcome
	if res.Reason != "" {
		s += ": " + res.Reason
	}
	s += fmt.Sprintf("; %d rows in %.1f s", res.Rows, res.Seconds)
	if res.Resumed {
		s += " (resumed)"
	}
	if res.Bad > 0 {
		s += fmt.Sprintf(", %d bad", res.Bad)
	}
	if res.Filtered > 0 {
		s += fmt.Sprintf(", %d left out", res.Filtered)
	}
	if res.Duplicates > 0 {
		about := ""
		if res.Estimated {
			about = "about "
		}
		s += fmt.Sprintf(", %s%d duplicates", about, res.Duplicates)
	}
	for _, q := range res.Regions {
		s += "; " + q.Name
		if q.Coverage != nil {
			s += " " + q.Coverage.String()
			if res.Partial {
				s += " of the rows read"
			}
		}
		if q.Kept > 0 {
			s += fmt.Sprintf(", %d kept", q.Kept)
		}
		if q.Missed > 0 {
			s += fmt.Sprintf(", %d missed at first", q.Missed)
		}
		if q.Evictions > 0 {
			s += fmt.Sprintf(", %d evictions", q.Evictions)
		}
	}
	return s
}

// Report is the result for people, line by line, the last line included.
func (res Result) Report() string {
	var b strings.Builder
	for _, q := range res.Regions {
		fmt.Fprintf(&b, "region %s: %d stored, %d replaced, %d kept", q.Name, q.Stored, q.Replaced, q.Kept)
		for _, f := range []struct {
			n    int64
			what string
		}{{q.Repaired, "repaired"}, {q.Refused, "refused"}, {q.Missed, "missed at first"}, {q.Evictions, "evictions"}, {q.Backoffs, "times slowed down"}} {
			if f.n > 0 {
				fmt.Fprintf(&b, ", %d %s", f.n, f.what)
			}
		}
		b.WriteByte('\n')
		for _, n := range q.Nodes {
			fmt.Fprintf(&b, "  node %s: %d items, %s of %s\n", n.Addr, n.Items, proof.Bytes(n.Bytes), proof.Bytes(n.Limit))
		}
		if c := q.Coverage; c != nil {
			fmt.Fprintf(&b, "  coverage %s; missing %d, older %d, unreadable %d\n", c, c.Missing, c.Older, c.Failed)
		}
	}
	for _, a := range res.Again {
		fmt.Fprintf(&b, "warmed again: %s\n", a)
	}
	for _, f := range res.FirstBad {
		fmt.Fprintf(&b, "bad row: %s\n", f)
	}
	b.WriteString(res.Line() + "\n")
	return b.String()
}
