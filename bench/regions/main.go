// Command regions starts three regions on this machine by real processes, to watch them and to
// draw in each (package town says what runs where):
//
//	go run ./bench/regions                       # until Ctrl-C
//	go run ./bench/regions -delay 30ms -faults   # with slow lines, cut now and then
//	go run ./bench/regions -for 20s -plain       # for scripts: no cursor movement
//
// It prints where everything is, and lines that work in another terminal. It ends what it
// started, and nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/region"
	"sluice/internal/servers"
	"sluice/internal/town"
)

func main() {
	delay := flag.Duration("delay", 15*time.Millisecond, "one-way delay between regions")
	rate := flag.Int("rate", 500, "changes of users a second at each home")
	faults := flag.Bool("faults", false, "cut a line for 2 s every 10 s; let burst1 leave and join every 30 s")
	length := flag.Duration("for", 0, "end by itself after this time; 0: at Ctrl-C")
	plain := flag.Bool("plain", false, "print the table again and again instead of in place")
	binary := flag.String("sluice", "./sluice", "the sluice binary")
	scripts := flag.String("scripts", "./scripts", "the folder of routes.yaml and the handlers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := &servers.Host{Name: "regions", Quiet: true}
	defer h.Close()
	fmt.Println("starting three regions ...")
	s := &show{Town: town.Start(h, town.Config{Binary: absolute(h, *binary), Scripts: absolute(h, *scripts), Delay: *delay}), h: h, binary: *binary}
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	s.fund(ctx)
	go s.load(ctx, *rate)
	if *faults {
		go s.faults(ctx)
	}
	s.watch(ctx, os.Stdout, *plain)
}

// watch shows the table of regions, what is where, and what is happening.
func (s *show) watch(ctx context.Context, w io.Writer, plain bool) {
	rdb := redis.NewClient(&redis.Options{Addr: s.Control})
	defer rdb.Close()
	registry := &region.Registry{RDB: rdb}
	for first := true; ; first = false {
		var b strings.Builder
		if !plain {
			b.WriteString("\x1b[H\x1b[2J")
		}
		list, err := registry.List(ctx)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(&b, "control region: %v\n", err)
		}
		region.Table(&b, list)
		fmt.Fprintf(&b, "\n%d changes of users committed; %s\n", s.committed.Load(), s.said())
		if first || !plain {
			s.lines(&b)
		}
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

// lines are what to try in another terminal.
func (s *show) lines(b *strings.Builder) {
	fmt.Fprintln(b)
	for _, r := range s.Regions {
		fmt.Fprintf(b, "  %-8s gateway %s  admin %s  memcached %s", r.Name, r.Public, r.Admin, r.Memcached)
		if r.Redis != nil {
			fmt.Fprintf(b, "  home Redis %s", r.HomeAddr)
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintf(b, "  control  Redis %s\n\nDraw from a red packet whose home is bj1, in each region; fund another; watch:\n\n", s.Control)
	for i, r := range s.Regions {
		fmt.Fprintf(b, "  curl -s -X POST http://%s/v1/redpackets/%s/draw -H \"Authorization: Bearer $(%s token -c %s --uid %s)\"\n",
			r.Public, s.id, s.binary, r.File, []string{"ann", "bob", "cid"}[i])
	}
	burst := s.Region("burst1")
	fmt.Fprintf(b, "  curl -s -X POST http://%s/v1/redpackets -d '{\"amount\":10000,\"count\":20}' -H \"Authorization: Bearer $(%s token -c %s --uid ann --scope fund)\"\n",
		burst.Public, s.binary, burst.File)
	fmt.Fprintf(b, "  %s region top -c %s\n\nStop with Ctrl-C.\n", s.binary, burst.File)
}

// absolute is the whole path of what must be there.
func absolute(h *servers.Host, path string) string {
	whole, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(whole)
	}
	if err != nil {
		h.Fatalf("regions: %v; `make build` makes ./sluice, and this is started from the repository", err)
	}
	return whole
}
