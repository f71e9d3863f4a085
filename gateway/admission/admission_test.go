package admission

import (
	"testing"
	"time"
)

func TestInFlightIsBounded(t *testing.T) {
	g := New(2)
	if !g.Enter(1) || !g.Enter(2) || g.Enter(3) {
		t.Fatal("the bound of 2 does not hold")
	}
	g.Leave()
	if !g.Enter(3) {
		t.Fatal("a place that was left is not given again")
	}
	if s := g.Stats(); s.InFlight != 2 || s.Shed != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestQueueWaitShedsTheSameUsersEachTime(t *testing.T) {
	g := New(1 << 30)
	for range 8 { // the first alone changes nothing
		g.observe(50 * time.Millisecond)
	}
	in := map[uint64]bool{}
	admitted := 0
	for u := range uint64(10_000) {
		in[u] = g.Enter(u)
		if in[u] {
			admitted++
		}
	}
	if want := 0.9 * 0.9 * 0.9 * 0.9 * 0.9 * 0.9 * 0.9 * 10_000; float64(admitted) < want*0.9 || float64(admitted) > want*1.1 {
		t.Fatalf("%d of 10000 admitted, want about %.0f", admitted, want)
	}
	for u := range uint64(10_000) {
		if g.Enter(u) != in[u] {
			t.Fatalf("user %d is in once and out once", u)
		}
	}
}

func TestItRecoversAndNeverShutsCompletely(t *testing.T) {
	g := New(1 << 30)
	for range 1000 {
		g.observe(time.Second)
	}
	if s := g.Stats(); s.Admitted < 0.04 || s.Admitted > 0.06 {
		t.Fatalf("at the worst %v", s.Admitted)
	}
	for range 200 {
		g.observe(0)
	}
	if s := g.Stats(); s.Admitted != 1 {
		t.Fatalf("after calm %v", s.Admitted)
	}
}
