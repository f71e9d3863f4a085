// Command regions starts three regions on this machine, to watch them: an own IDC (bj1), a
// monthly cloud (month1) and a burst cloud (burst1), each with its memcached on an address of
// its own and a Syncer; two homes and a control Redis; and toxiproxy on every line between
// regions, for delay, loss of connection and cuts.
//
//	go run ./bench/regions                       # until Ctrl-C
//	go run ./bench/regions -delay 30ms -faults   # with a slow line, cut now and then
//	go run ./bench/regions -for 20s -plain       # for scripts: no cursor movement
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"sluice/cachesync/region"
)

func main() {
	delay := flag.Duration("delay", 15*time.Millisecond, "one-way delay between regions")
	rate := flag.Int("rate", 500, "changes a second at each home")
	faults := flag.Bool("faults", false, "cut a line for 2 s every 10 s; let burst1 leave and join every 30 s")
	length := flag.Duration("for", 0, "end by itself after this time; 0: at Ctrl-C")
	plain := flag.Bool("plain", false, "print the table again and again instead of in place")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	h := &host{}
	defer h.close()
	t := newTown(h, *delay)
	for _, p := range t.places {
		t.start(ctx, p)
	}
	go t.load(ctx, *rate)
	if *faults {
		go t.faults(ctx)
	}
	t.watch(ctx, os.Stdout, *plain)
}

// watch shows the table of regions, what is where, and what is happening.
func (t *town) watch(ctx context.Context, w io.Writer, plain bool) {
	for {
		var b strings.Builder
		if !plain {
			b.WriteString("\x1b[H\x1b[2J")
		}
		list, err := t.registry.List(ctx)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(&b, "control region: %v\n", err)
		}
		region.Table(&b, list)
		fmt.Fprintf(&b, "\n%d changes committed; %s\n", t.committed.Load(), t.said())
		for _, p := range t.places {
			fmt.Fprintf(&b, "  %-8s memcached %s", p.name, p.memory)
			if p.home != "" {
				fmt.Fprintf(&b, ", home Redis %s", p.home)
			}
			fmt.Fprintln(&b)
		}
		fmt.Fprintf(&b, "  control  Redis %s\n", t.control)
		if ctx.Err() != nil {
			return
		}
		io.WriteString(w, b.String())
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// host is what internal/servers needs of a test, for a program.
type host struct{ cleanups []func() }

func (h *host) Helper() {}
func (h *host) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	h.close()
	os.Exit(1)
}
func (h *host) Logf(format string, args ...any) {}
func (h *host) Cleanup(f func())                { h.cleanups = append(h.cleanups, f) }
func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "sluice-regions-")
	if err != nil {
		h.Fatalf("regions: %v", err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
func (h *host) close() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
	h.cleanups = nil
}
