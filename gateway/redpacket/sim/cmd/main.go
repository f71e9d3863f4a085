// Command cmd runs the money simulator: `go run ./gateway/redpacket/sim/cmd -seeds 1000`.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"sluice/gateway/redpacket/sim"
)

func main() {
	seeds := flag.Uint64("seeds", 1000, "how many seeds to live through")
	first := flag.Uint64("first", 1, "the first of them")
	seed := flag.Uint64("seed", 0, "only this one")
	verbose := flag.Bool("v", false, "say what happens")
	bug := flag.Int("bug", 0, "put this known mistake back in (1 to 11)")
	workers := flag.Int("workers", runtime.NumCPU(), "seeds at the same time")
	flag.Parse()
	debug.SetGCPercent(300) // many small worlds: memory is cheap here, marking it is not
	if *seed != 0 {
		*first, *seeds, *workers = *seed, 1, 1
	}
	cfg := sim.Config{Protos: new(sim.Protos), Bug: sim.Bug(*bug)}
	if *verbose {
		cfg.Logf = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	var next, violations atomic.Int64
	var wg sync.WaitGroup
	for range *workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				n := uint64(next.Add(1) - 1)
				if n >= *seeds {
					return
				}
				one := cfg
				one.Seed = *first + n
				for i, text := range sim.Run(one) {
					violations.Add(1)
					if i < 3 {
						fmt.Printf("seed %d: %s (replay: -seed %d -v)\n", one.Seed, text, one.Seed)
					}
				}
			}
		}()
	}
	wg.Wait()
	fmt.Printf("%d seeds, %d violations\n", *seeds, violations.Load())
	if violations.Load() > 0 {
		os.Exit(1)
	}
}
