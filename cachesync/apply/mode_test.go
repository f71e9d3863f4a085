package apply

import (
	"testing"
	"time"
)

func TestModesRiseAtOnceAndFallAfterACalm(t *testing.T) {
	var m Modal
	at := now
	all := Situation{AllClasses: true}
	f := func(wait, lag time.Duration, s Situation, want Mode) {
		t.Helper()
		at = at.Add(wait)
		if got := m.Next(lag, s, at); got != want {
			t.Errorf("lag %s: %s, want %s", lag, got, want)
		}
	}
	ms := time.Millisecond
	f(0, 19*ms, all, Set)
	f(ms, 20*ms, all, Collapse)
	f(ms, 15*ms, all, Collapse) // between the thresholds it stays, however long
	f(time.Hour, 15*ms, all, Collapse)
	f(ms, 5*ms, all, Collapse)
	f(900*ms, 5*ms, all, Collapse)
	f(50*ms, 12*ms, all, Collapse) // the calm begins anew
	f(60*ms, 5*ms, all, Collapse)
	f(time.Second, 5*ms, all, Set)
	f(ms, 500*ms, all, Invalidate)
	f(ms, 50*ms, all, Invalidate)
	f(time.Second, 50*ms, all, Collapse)
}

func TestInvalidateNeedsAllThreeClassesAndNoDrain(t *testing.T) {
	far := time.Minute
	for _, s := range []Situation{{}, {AllClasses: true, Draining: true}, {Draining: true}} {
		var m Modal
		if got := m.Next(far, s, now); got != Collapse {
			t.Errorf("%+v: %s", s, got)
		}
		m.Next(far, Situation{AllClasses: true}, now)
		if m.Mode() != Invalidate {
			t.Fatal(m.Mode())
		}
		if got := m.Next(far, s, now); got != Collapse {
			t.Errorf("%+v did not end INVALIDATE at once: %s", s, got)
		}
	}
}
