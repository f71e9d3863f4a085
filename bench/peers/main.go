package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/bench/peers/plain"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == plain.Verb { // the third peer is this program again
		if err := plain.Main(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

// options are how much is measured.
type options struct {
	html    string
	run     time.Duration // of one run
	rounds  int
	conns   []int
	cases   []string
	peers   string
	binary  string
	before  string
	shares  int
	profile string
	stall   time.Duration
	soak    time.Duration
	quick   bool
}

func parse() (o options, err error) {
	o.quick = os.Getenv("QUICK") != ""
	conns, cases := "64,512,4096", "hello,get,win,lose,mixed,enter"
	o.run, o.rounds = 3*time.Second, 2
	if o.quick {
		conns, cases, o.run = "64,512", "hello,win,lose", 500*time.Millisecond
	}
	flag.StringVar(&o.html, "html", "bench/out/peers.html", "page to write")
	flag.DurationVar(&o.run, "run", o.run, "length of one run")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "interleaved rounds")
	flag.StringVar(&conns, "connections", conns, "numbers of connections")
	flag.StringVar(&cases, "cases", cases, "of hello,get,win,lose,mixed,enter")
	flag.StringVar(&o.peers, "peers", "sluice,nginx,plain,file", "of sluice,before,nginx,plain,file")
	o.shares = 1_000_000
	if o.quick {
		o.shares = 250_000
	}
	flag.IntVar(&o.shares, "shares", o.shares, "of each open red packet")
	flag.StringVar(&o.binary, "sluice", "", "binary to measure; empty builds one")
	flag.StringVar(&o.before, "before", "", "another build of sluice: the peer \"before\" of -peers")
	flag.StringVar(&o.profile, "profile", "", "only run the cases against sluice and save its CPU profile here")
	flag.DurationVar(&o.stall, "stall", 0, "only stop sluice's memcached and Redis for so long, at full load")
	flag.DurationVar(&o.soak, "soak", 0, "only run the mix against sluice for so long, at 80 % of its full rate")
	flag.Parse()
	if o.profile != "" || o.stall > 0 || o.soak > 0 {
		o.peers = "sluice"
	}
	if o.quick {
		if o.peers == "sluice,nginx,plain,file" {
			o.peers = "sluice,nginx"
		}
	}
	for _, text := range strings.Split(conns, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-connections %q is not such as 64,512", conns)
		}
		o.conns = append(o.conns, n)
	}
	o.cases = strings.Split(cases, ",")
	for _, name := range o.cases {
		if _, err := program(name, &peer{open: []string{"x"}, sold: "y"}); err != nil {
			return o, err
		}
	}
	for _, key := range strings.Split(o.peers, ",") {
		if !slices.Contains([]string{"sluice", "before", "nginx", "plain", "file"}, key) {
			return o, fmt.Errorf("-peers: no peer is called %q", key)
		}
	}
	if o.run <= 0 || o.rounds < 1 || o.shares < 1 {
		return o, fmt.Errorf("-run, -rounds and -shares must be above 0")
	}
	if err := os.MkdirAll(filepath.Dir(o.html), 0o755); err != nil {
		return o, fmt.Errorf("-html: %w", err)
	}
	return o, nil
}

func run(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	house, err := build(ctx, o)
	if err != nil {
		return err
	}
	defer house.close()
	if err := equal(house.peers, slices.Contains(o.cases, "get")); err != nil {
		return err
	}
	switch sluice := house.peers[0]; {
	case o.profile != "":
		return profile(ctx, o, sluice)
	case o.stall > 0:
		return stall(ctx, o, sluice, o.stall)
	case o.soak > 0:
		return soak(ctx, o, sluice, o.soak)
	}
	fmt.Printf("answers of %d peers are equal; measuring\n", len(house.peers))
	rows, err := measure(ctx, o, house.peers)
	if err != nil {
		return err
	}
	printTable(os.Stdout, rows) // first: a page that cannot be written takes no figures along
	if err := page(o, rows).Save(o.html); err != nil {
		return err
	}
	fmt.Println("page:", o.html)
	fmt.Println(lastLine(rows))
	return nil
}
