package sim

import "testing"

func TestEverythingHoldsForAThousandSeeds(t *testing.T) {
	for seed := range uint64(1000) {
		if v := Run(seed, NoBug); v != nil {
			t.Fatal(v)
		}
	}
}

// Seeds that once showed a violation, and what it was.
func TestSeedsThatOnceFailedHold(t *testing.T) {
	for seed, was := range map[uint64]string{
		201806: "two flushes: the second repeat began behind what the first had not written yet",
	} {
		if v := Run(seed, NoBug); v != nil {
			t.Errorf("%v (once: %s)", v, was)
		}
	}
}

func TestBugsThatAreNoStrangersAreCaught(t *testing.T) {
	for bug := NoBug + 1; bug < bugCount; bug++ {
		caught := 0
		var first *Violation
		for seed := range uint64(300) {
			if v := Run(seed, bug); v != nil {
				if first == nil {
					first = v
				}
				caught++
			}
		}
		if caught == 0 {
			t.Errorf("%s: not caught in 300 seeds", bug)
		} else {
			t.Logf("%s: caught in %d of 300 seeds, first: %v", bug, caught, first)
		}
	}
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	for seed := range uint64(300) {
		a, b := Run(seed, NoVersionGate), Run(seed, NoVersionGate)
		if (a == nil) != (b == nil) || a != nil && a.Error() != b.Error() {
			t.Fatalf("%v, then %v", a, b)
		}
	}
}
