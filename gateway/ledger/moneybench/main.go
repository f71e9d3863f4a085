// Command moneybench measures what money costs: splitting, posting to both
// ledgers, and reconciling. It ends with one line of figures.
//
//	go run ./gateway/ledger/moneybench [-awards 400000] [-reconcile 1000000] [-only sqlite] [-cpuprofile FILE]
//
// Awards are posted as settle does: batches of wins of many red packets (1,000
// shares each, users drawn from ten million), each with its two postings, its
// outbox row, the bucket's position and the red packet's running totals, in
// durable transactions. Afterwards every store is audited; a fault ends the run
// with exit status 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/postgres"
	"sluice/gateway/ledger/sqlite"
	"sluice/internal/servers"
)

func main() {
	awards := flag.Int("awards", 400_000, "awards to post to each ledger")
	million := flag.Int("reconcile", 1_000_000, "awards of the red packet to reconcile")
	only := flag.String("only", "", "measure only split, sqlite or postgres")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "moneybench:", err)
			os.Exit(2)
		}
	}
	h := &servers.Host{Name: "moneybench"}
	code := 0
	if err := run(context.Background(), h, *awards, *million, *only); err != nil {
		fmt.Fprintln(os.Stderr, "moneybench:", err)
		code = 1
	}
	pprof.StopCPUProfile()
	h.Close()
	os.Exit(code)
}

func run(ctx context.Context, h *servers.Host, awards, million int, only string) error {
	wants := func(what string) bool { return only == "" || only == what }
	var perShare, big, lite, pg, recon float64
	if wants("split") {
		var err error
		if perShare, big, err = splits(); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		name string
		rate *float64
		open func() (ledger.Store, error)
	}{
		{"sqlite", &lite, func() (ledger.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(h.TempDir(), "ledger.db")})
		}},
		{"postgres", &pg, func() (ledger.Store, error) {
			return postgres.Open(ctx, postgres.Options{URL: servers.Postgres(h)})
		}},
	} {
		if !wants(s.name) {
			continue
		}
		l, err := s.open()
		if err != nil {
			return err
		}
		if *s.rate, err = post(ctx, l, awards); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("%s: %d awards, %.0f/s, audit clean\n", s.name, awards, *s.rate)
		d, err := reconcile(ctx, l, million)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("%s: reconcile of %d awards in %.2f s\n", s.name, million, d.Seconds())
		recon = max(recon, d.Seconds())
		if err := l.Close(); err != nil {
			return err
		}
	}
	fmt.Printf("split_ns_per_share=%.0f split_200k_ms=%.1f sqlite_awards_per_s=%.0f postgres_awards_per_s=%.0f reconcile_1m_s=%.2f\n",
		perShare, big, lite, pg, recon)
	return nil
}

func best(n int, f func() error) (time.Duration, error) {
	least := time.Duration(1<<63 - 1)
	for range n {
		t := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		least = min(least, time.Since(t))
	}
	return least, nil
}
