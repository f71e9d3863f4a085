package plan

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"sluice/bench/load/record"
)

func measured() *record.Result {
	return &record.Result{FindMax: &record.FindMax{Rate: 10000, Low: 9500, High: 10500, Limit: "server"}}
}

func night() Night {
	return Night{Users: 1e6, FirstSecond: 0.1, FirstMinute: 0.5, Headroom: 0.2}
}

func TestMachinesFollowTheFormulas(t *testing.T) {
	p, err := Make(measured(), night())
	if err != nil {
		t.Fatal(err)
	}
	// The worst 50 ms are right after the first second: the derivative of (s60-s1)*ln(t)/ln(60) at 1.
	want := 1e6 * 0.4 * math.Log(1.05) / math.Log(60) / 0.05
	want = max(want, 1e5)
	if math.Abs(p.Need-want) > 1 || p.Machine != 8000 {
		t.Errorf("need %g, want %g; machine %g", p.Need, want, p.Machine)
	}
	if p.Machines != int(math.Ceil(p.Need/8000)) || p.Fewest != int(math.Ceil(p.Need/8400)) || p.Careful != int(math.Ceil((p.Need+2*math.Sqrt(p.Need))/7600)) {
		t.Errorf("%d machines, %d..%d", p.Machines, p.Fewest, p.Careful)
	}
}

func TestPatienceAndSpareRegionsChangeTheNumberAsExpected(t *testing.T) {
	base, _ := Make(measured(), night())
	f := func(change func(*Night), more bool) {
		t.Helper()
		n := night()
		change(&n)
		p, err := Make(measured(), n)
		if err != nil || (p.Machines > base.Machines) != more {
			t.Errorf("%d machines, were %d, %v", p.Machines, base.Machines, err)
		}
	}
	f(func(n *Night) { n.Wait = 5 * time.Second }, false)
	f(func(n *Night) { n.Scale = 2 }, false)
	f(func(n *Night) { n.Regions = 2 }, true)
	f(func(n *Night) { n.Requests = 3; n.Apart = 100 * time.Millisecond }, true)
	f(func(n *Night) { n.FirstSecond = 0.4 }, true)
}

// With the backlog simulated at the planned rate nobody waits longer than allowed.
func TestNobodyWaitsLongerThanPlanned(t *testing.T) {
	n := night()
	n.Wait, n.Requests = 700*time.Millisecond, 2
	p, err := Make(measured(), n)
	if err != nil {
		t.Fatal(err)
	}
	backlog, worst := 0.0, 0.0
	for i := 1; i < len(p.curve); i++ {
		backlog = max(0, backlog+p.curve[i]-p.curve[i-1]-p.Need*grid.Seconds())
		worst = max(worst, backlog/p.Need)
	}
	if worst > 0.7*1.001 || worst < 0.6 {
		t.Errorf("the longest wait is %.3f s, 0.7 s are allowed and should nearly be used", worst)
	}
}

func TestImpossibleNightsAreRefused(t *testing.T) {
	for _, change := range []func(*Night){func(n *Night) { n.Users = 0 }, func(n *Night) { n.FirstSecond = 2 }, func(n *Night) { n.FirstMinute = 0.01 }, func(n *Night) { n.Headroom = 1 }, func(n *Night) { n.Scale = -1 }, func(n *Night) { n.Users = math.NaN() }} {
		n := night()
		change(&n)
		if _, err := Make(measured(), n); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if _, err := Make(&record.Result{}, night()); !errors.Is(err, ErrInput) {
		t.Errorf("an invalid result was planned with: %v", err)
	}
}

func TestThePageShowsNumberErrorBarAndFormula(t *testing.T) {
	p, _ := Make(measured(), night())
	var b, text strings.Builder
	if err := p.Page().Write(&b); err != nil {
		t.Fatal(err)
	}
	p.Text(&text)
	for _, piece := range []string{"machines for this night", "error bar", "twice the users", "<polyline", "rounded up"} {
		if !strings.Contains(b.String(), piece) {
			t.Errorf("no %q", piece)
		}
	}
	if !strings.Contains(text.String(), "error bar") {
		t.Error(text.String())
	}
}

func TestARateThatWasNotHeldIsNoMeasurement(t *testing.T) {
	for _, r := range []*record.Result{
		{Valid: true, Rate: 500, FindMax: &record.FindMax{}},
		{Valid: true, Rate: 500, Objectives: []record.Objective{{Text: "p99<5ms"}}},
	} {
		if p, err := Make(r, night()); !errors.Is(err, ErrInput) {
			t.Errorf("%+v, %v", p, err)
		}
	}
}
