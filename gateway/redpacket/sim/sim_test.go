package sim

import (
	"os"
	"strconv"
	"testing"
)

// seeds is how many seeds the test lives through; SEEDS=100000 for the long run.
func seeds(t *testing.T) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return 100
	}
	return 1000
}

func TestNoSeedViolatesAnything(t *testing.T) {
	protos := new(Protos)
	for seed := uint64(1); seed <= seeds(t); seed++ {
		for _, fault := range Run(Config{Seed: seed, Protos: protos}) {
			t.Errorf("seed %d: %s", seed, fault)
		}
		if t.Failed() {
			t.Fatalf("replay: go run ./gateway/redpacket/sim/cmd -seed %d -v", seed)
		}
	}
}

func TestEveryKnownBugIsFound(t *testing.T) {
	for _, bug := range Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			protos := new(Protos)
			for seed := uint64(1); seed <= 400; seed++ {
				if faults := Run(Config{Seed: seed, Bug: bug, Protos: protos}); len(faults) > 0 {
					t.Logf("seed %d: %s", seed, faults[0])
					return
				}
			}
			t.Error("not found in 400 seeds")
		})
	}
}

func TestSameSeedSameNight(t *testing.T) {
	f := func(seed uint64) (log []string) {
		Run(Config{Seed: seed, Protos: new(Protos), Logf: func(format string, args ...any) { log = append(log, format) }})
		return log
	}
	for seed := uint64(1); seed < 20; seed++ {
		a, b := f(seed), f(seed)
		if len(a) != len(b) {
			t.Fatalf("seed %d: %d events, then %d", seed, len(a), len(b))
		}
	}
}
