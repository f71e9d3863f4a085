package procs

import (
	"os"
	"testing"
	"time"
)

func TestStatIsReadThoughTheNameHoldsBrackets(t *testing.T) {
	d, err := parseStat([]byte("42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 1 1 1"))
	if err != nil || d != 2*time.Second {
		t.Errorf("%s, %v", d, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S 1 1 1 1 1 1 1 1 1 1 a b c"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestOwnCPUAgreesWithProc(t *testing.T) {
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	d, err := CPU(os.Getpid())
	if err != nil || d <= 0 || (Self()-d).Abs() > time.Second {
		t.Errorf("/proc says %s, getrusage %s, %v", d, Self(), err)
	}
}
