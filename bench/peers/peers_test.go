package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/bench/peers/plain"
	"sluice/bench/peers/rig"
)

// TestMain lets the test binary be the third peer, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == plain.Verb {
		if err := plain.Main(os.Args[2:]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestNginxAndPlainGoAnswerAlikeAndAreMeasured(t *testing.T) {
	r, err := rig.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	open := []string{"open0"}
	ng, err := nginxPeer(t.Context(), r, open, 50000)
	if err != nil {
		t.Fatal(err)
	}
	pl, err := plainPeer(t.Context(), r, open, 50000)
	if err != nil {
		t.Fatal(err)
	}
	peers := []*peer{ng, pl}
	if err := equal(peers, true); err != nil {
		t.Fatal(err)
	}
	rows, err := measure(t.Context(), options{run: 100 * time.Millisecond, rounds: 1, conns: []int{8}, cases: []string{"hello", "get", "win", "lose", "mixed", "enter"}}, peers)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 12 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		if r.rate == 0 || r.errors != 0 {
			t.Errorf("%s, %s: %g/s, %d errors", r.name, r.peer.name, r.rate, r.errors)
		}
	}
}

func TestTheLastLineHoldsTheRatios(t *testing.T) {
	sl, ng := &peer{key: "sluice", name: "sluice"}, &peer{key: "nginx", name: "nginx"}
	rows := []*row{{peer: sl, name: "hello", conns: 64, perCPU: 100}, {peer: sl, name: "lose", conns: 64, perCPU: 80},
		{peer: sl, name: "win", conns: 64, perCPU: 20}, {peer: ng, name: "win", conns: 64, perCPU: 10},
		{peer: sl, name: "win", conns: 512, perCPU: 30, micros: [4]float64{3, 1, 1, 9}}, {peer: ng, name: "win", conns: 512, perCPU: 10, micros: [4]float64{10, 5, 5, 0}}}
	if got, want := lastLine(rows), "draw_vs_nginx_64=2.00 draw_vs_nginx_512=3.00 cpu_per_draw_vs_nginx=0.25 losing_vs_hello=0.80"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := lastLine(rows[:1]); !strings.Contains(got, "draw_vs_nginx_64=-") {
		t.Errorf("what was not measured is %s", got)
	}
	var b strings.Builder
	if err := page(options{conns: []int{64, 512}}, rows).Write(&b); err != nil || !strings.Contains(b.String(), "512 connections") {
		t.Errorf("%v", err)
	}
}

func TestMistakesInFlagsAreFoundBeforeAnythingIsStarted(t *testing.T) {
	f := func(says string, args ...string) {
		t.Helper()
		flag.CommandLine = flag.NewFlagSet("peers", flag.ContinueOnError)
		os.Args = append([]string{"peers", "-html", filepath.Join(t.TempDir(), "p.html")}, args...)
		if _, err := parse(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", args, err, says)
		}
	}
	args, line := os.Args, flag.CommandLine
	defer func() { os.Args, flag.CommandLine = args, line }()
	f("no case is called", "-cases", "hello,draw")
	f("no peer is called", "-peers", "sluice,apache")
	f("above 0", "-rounds", "0")
	f("-connections", "-connections", "64,x")
	f("-html", "-html", "/proc/none/p.html")
}
