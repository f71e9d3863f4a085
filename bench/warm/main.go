// Warm measures how fast sluice warms one empty memcached, beside a raw
// pipelined writer and a gomemcache loop of 16 goroutines, in one run.
//
//	go run ./bench/warm            # a million users, under a minute
//	go run ./bench/warm -n 10000000 -m 4096
//
// Rates are records per second of CPU of this process (user and system), so
// that they say what one core does, whoever else uses the machine; wall-clock
// rates stand in the table above the last line. The proof is part of the run
// and of its time.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	gomemcache "github.com/bradfitz/gomemcache/memcache"

	"sluice/cachesync/warmup"
	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/source"
	"sluice/internal/servers"
)

func main() {
	n := flag.Int64("n", 1_000_000, "users")
	peers := flag.Int64("peers", 300_000, "records that the gomemcache loop writes")
	memory := flag.Int("m", 1024, "MB of memcached")
	flag.Parse()
	b := &bench{servers.Host{Name: "warm", Quiet: true}}
	code := 0
	if err := b.run(*n, *peers, *memory); err != nil {
		fmt.Fprintln(os.Stderr, "bench/warm:", err)
		code = 1
	}
	b.Close()
	os.Exit(code)
}

// bench runs the writers beside each other.
type bench struct{ servers.Host }

type rate struct{ wall, cpu float64 }

func (b *bench) run(n, peers int64, memory int) error {
	m := fmt.Sprint(memory)
	sluice, rss, err := b.sluice(n, servers.Memcached(b, "-m", m, "-t", "1"))
	if err != nil {
		return err
	}
	records := sample(min(n, 200_000))
	raw, err := measure(n, func() error { return rawWriter(servers.Memcached(b, "-m", m, "-t", "1"), records, n) })
	if err != nil {
		return err
	}
	gom, err := measure(peers, func() error { return gomemcacheLoop(servers.Memcached(b, "-m", m, "-t", "1"), records, peers) })
	if err != nil {
		return err
	}
	fmt.Printf("%-34s %14s %14s\n", "records of 200 bytes", "per CPU-second", "per second")
	for _, r := range []struct {
		name string
		rate
	}{{"sluice warm, proof included", sluice}, {"raw pipelined writer", raw}, {"gomemcache, 16 goroutines", gom}} {
		fmt.Printf("%-34s %14.0f %14.0f\n", r.name, r.cpu, r.wall)
	}
	fmt.Printf("records_per_s=%.0f vs_raw=%.2f vs_gomemcache=%.2f rss_mb=%.0f\n", sluice.cpu, sluice.cpu/raw.cpu, sluice.cpu/gom.cpu, rss)
	return nil
}

func measure(n int64, f func() error) (rate, error) {
	runtime.GC()
	wall, cpu := time.Now(), cpuTime()
	err := f()
	return rate{wall: float64(n) / time.Since(wall).Seconds(), cpu: float64(n) / (cpuTime() - cpu).Seconds()}, err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// sluice is the real thing, from the generator to the proof.
func (b *bench) sluice(n int64, addr string) (r rate, rssMB float64, err error) {
	var res warmup.Result
	r, err = measure(n, func() error {
		res, err = warmup.Run(context.Background(), warmup.Config{
			Set: "bench", StatePath: filepath.Join(b.TempDir(), "bench.state"),
			Regions: []warmup.Region{{Name: "bench", Servers: []string{addr}}},
			Feed: warmup.Rows{Source: &source.Synthetic{N: n}, Plan: plan.Config{
				Key: "u:{uid}", KeepUntil: time.Now().Add(2 * time.Hour), Spread: time.Hour,
			}},
		})
		return err
	})
	fmt.Println(res.Line())
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return r, float64(u.Maxrss) / 1024, err
}

// sample makes the same keys and values for the peers.
func sample(n int64) []gomemcache.Item {
	p, err := plan.Compile(plan.Config{Key: "u:{uid}"})
	if err != nil {
		panic(err)
	}
	in, _ := (&source.Synthetic{N: n}).Open(context.Background(), source.Position{})
	items := make([]gomemcache.Item, 0, n)
	for range n {
		row, _ := in.Next()
		it, _, err := p.Convert(row, nil)
		if err != nil {
			panic(err)
		}
		items = append(items, gomemcache.Item{Key: it.Key, Value: it.Value})
	}
	return items
}

// rawWriter is the most that one connection takes: adds from ready memory, a
// reader that only counts lines.
func rawWriter(addr string, items []gomemcache.Item, n int64) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	done := make(chan error, 1)
	go func() {
		r := bufio.NewReaderSize(nc, 64<<10)
		for range n {
			if _, err := r.ReadSlice('\n'); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	buf := make([]byte, 0, 128<<10)
	for i := range n {
		it := &items[i%int64(len(items))]
		buf = append(buf, "set u:r"...)
		buf = strconv.AppendInt(buf, i, 10)
		buf = append(buf, " 0 0 200\r\n"...)
		buf = append(buf, it.Value[:200]...)
		buf = append(buf, '\r', '\n')
		if len(buf) > 64<<10 || i == n-1 {
			if _, err := nc.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return <-done
}

func gomemcacheLoop(addr string, items []gomemcache.Item, n int64) error {
	c := gomemcache.New(addr)
	c.MaxIdleConns = 16
	defer c.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for g := range int64(16) {
		wg.Go(func() {
			for i := g; i < n; i += 16 {
				it := items[i%int64(len(items))]
				if i >= int64(len(items)) {
					it.Key = fmt.Sprint("u:", i)
				}
				if err := c.Add(&it); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
