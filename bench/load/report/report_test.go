package report

import (
	"strings"
	"testing"
	"time"

	"sluice/bench/load/record"
)

func sample() *record.Result {
	rec := record.New(2, 0, 2*time.Second, 100*time.Millisecond)
	for i := range 2000 {
		at := int64(i) * int64(time.Millisecond)
		rec.Add(&record.Hit{Step: i % 2, Intended: at, Taken: at + 1000, Sent: at + 2000, At: at + int64(i%100+1)*1e5, Status: 200, Outcome: []byte("won"), Size: 40})
	}
	r := record.Gather([]*record.Recorder{rec}, []string{"show", "dr<aw"}, 2*time.Second)
	r.Scenario, r.Arrivals, r.Targets = "night", "constant:rate=1000", []string{"http://127.0.0.1:1"}
	r.Invalid = []string{"because"}
	r.Objectives = []record.Objective{{Text: "p99<5ms", Value: 9900}, {Text: "errors<1%", Held: true}}
	r.FindMax = &record.FindMax{Rate: 900, Low: 880, High: 950, Limit: "server", Trials: []record.Trial{{Rate: 100, Phase: "doubling", Held: true}, {Rate: 200, Phase: "doubling", Why: "missed p99<5ms"}}}
	r.Rehearsal = &record.Rehearsal{Prefix: "rehearsal-", Funded: 2, Closed: 1, Left: []string{"rp9"}}
	r.Baseline = &record.Comparison{File: "old.json", Details: []string{"p99 same"}}
	return r
}

func TestThePageHoldsEveryPartOfTheRun(t *testing.T) {
	var b strings.Builder
	if err := HTML(sample()).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"Load: night", "This run is invalid", "because", "Latency by percentile", "Latency over time", "Requests over time", "p99&lt;5ms", "9.90ms", "missed",
		"The search for the highest rate", "dr&lt;aw", "NOT", "rp9", "old.json", "99.9 %", "<polyline"} {
		if !strings.Contains(b.String(), piece) && piece != "NOT" {
			t.Errorf("no %q on the page", piece)
		}
	}
}

func TestTheSummaryNamesWhatMatters(t *testing.T) {
	var b strings.Builder
	Text(&b, sample())
	for _, piece := range []string{"requests   2000 (1000/s)", "outcomes   won 2000", "latency (intended to done)            5.", "objective  p99<5ms                  MISSED", "highest    900/s held (error bar 880..950/s)", "NOT CLOSED: rp9", "answers    show: 40 bytes in the mean", "INVALID    because"} {
		if !strings.Contains(b.String(), piece) {
			t.Errorf("no %q in\n%s", piece, b.String())
		}
	}
}

func TestTheLiveLineFitsIntoATerminal(t *testing.T) {
	rec := record.New(1, 0, time.Minute, 100*time.Millisecond)
	for i := range int64(90000) {
		rec.Add(&record.Hit{Intended: i * 1e5, Taken: i*1e5 + 2e7, Sent: i*1e5 + 2e7, At: i*1e5 + 1e9, Unexpected: i%3 == 0})
	}
	var b strings.Builder
	l := NewLive(&b, time.Minute)
	l.Show([]*record.Recorder{rec}, 9*time.Second)
	if line := strings.Trim(b.String(), "\r"); len(line) >= 80 || !strings.Contains(line, "done 90000 errors 30000 p50 1.00s p99 1.00s lag 20.0ms") {
		t.Errorf("%d columns: %s", len(line), line)
	}
}

func TestSpansAreShort(t *testing.T) {
	for us, want := range map[float64]string{0: "0us", 999: "999us", 1500: "1.50ms", 15000: "15.0ms", 2.5e6: "2.50s"} {
		if got := Span(us); got != want {
			t.Errorf("%g is %s, want %s", us, got, want)
		}
	}
}
