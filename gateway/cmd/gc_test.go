package cmd

import "testing"

func TestGarbageIsBounded(t *testing.T) {
	f := func(live uint64, want int) {
		t.Helper()
		if got := garbagePercent(live); got != want {
			t.Errorf("%d bytes live: GOGC %d, want %d", live, got, want)
		}
	}
	f(0, 400)
	f(20<<20, 400)
	f(64<<20, 400)
	f(128<<20, 200)
	f(200<<20, 120)
	f(4<<30, 100)
}
