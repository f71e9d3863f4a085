// Command cmd runs the simulator of cachesync over many seeds. The last line says how many
// and how many violations there were; with a violation it exits with 1.
//
//	go run ./cachesync/sim/cmd -seeds 100000
//	go run ./cachesync/sim/cmd -seed 4711
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"sluice/cachesync/sim"
)

func main() {
	seeds := flag.Uint64("seeds", 1000, "how many seeds")
	from := flag.Uint64("from", 0, "the first seed")
	one := flag.Int64("seed", -1, "this seed only, telling what happens")
	flag.Parse()
	if *one >= 0 {
		if v := sim.Trace(uint64(*one), sim.NoBug, os.Stdout); v != nil {
			fmt.Println(v)
			os.Exit(1)
		}
		return
	}
	var next, bad atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				n := next.Add(1) - 1
				if n >= *seeds {
					return
				}
				if v := sim.Run(*from+n, sim.NoBug); v != nil {
					bad.Add(1)
					fmt.Println(v)
				}
			}
		}()
	}
	wg.Wait()
	fmt.Printf("%d seeds, %d violations\n", *seeds, bad.Load())
	if bad.Load() > 0 {
		os.Exit(1)
	}
}
