package memcache_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gomemcache "github.com/bradfitz/gomemcache/memcache"

	"sluice/cachesync/memcache"
	"sluice/internal/servers"
)

// Reads of three keys, as one draw makes them, from many goroutines:
//
//	go test ./cachesync/memcache -run '^$' -bench . -cpu 2
var parallel = []int{1, 64, 256, 512}

func keys(n int) []string {
	k := make([]string, n)
	for i := range k {
		k[i] = fmt.Sprintf("u:%08d", i)
	}
	return k
}

func BenchmarkReadThree(b *testing.B) {
	addr := servers.Memcached(b)
	k := keys(10000)
	fill(b, addr, k)
	for _, yields := range []int{-1, 1, 2} {
		for _, p := range parallel {
			b.Run(fmt.Sprintf("yields=%d/callers=%d", max(yields, 0), p), func(b *testing.B) {
				c, err := memcache.New(memcache.Config{Servers: []string{addr}, Yields: yields})
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				var seq atomic.Uint64
				b.ReportAllocs()
				run(b, p, func(n int) {
					ops := make([]memcache.Op, 3)
					base := int(seq.Add(7919))
					for i := range n {
						for j := range ops {
							ops[j] = memcache.Op{Kind: memcache.Get, Key: k[(base+i*3+j)%len(k)]}
						}
						if err := c.Do(context.Background(), ops); err != nil {
							b.Error(err)
							return
						}
					}
				})
				s := c.Stats()[0]
				b.ReportMetric(float64(s.Calls)/float64(s.Writes), "calls/write")
			})
		}
	}
}

func BenchmarkReadThreeGomemcache(b *testing.B) {
	addr := servers.Memcached(b)
	k := keys(10000)
	fill(b, addr, k)
	for _, p := range parallel {
		b.Run(fmt.Sprintf("callers=%d", p), func(b *testing.B) {
			c := gomemcache.New(addr)
			c.MaxIdleConns = p
			defer c.Close()
			b.ReportAllocs()
			run(b, p, func(n int) {
				for i := range n {
					if _, err := c.GetMulti(k[i*3%9000 : i*3%9000+3]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkSet(b *testing.B) {
	addr := servers.Memcached(b)
	k := keys(10000)
	value := make([]byte, 200)
	for _, p := range []int{16, 256} {
		b.Run(fmt.Sprintf("callers=%d", p), func(b *testing.B) {
			c, err := memcache.New(memcache.Config{Servers: []string{addr}})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			run(b, p, func(n int) {
				for i := range n {
					ops := [1]memcache.Op{{Kind: memcache.Set, Key: k[i%len(k)], Value: value}}
					c.Do(context.Background(), ops[:])
				}
			})
		})
		b.Run(fmt.Sprintf("gomemcache/callers=%d", p), func(b *testing.B) {
			c := gomemcache.New(addr)
			c.MaxIdleConns = p
			defer c.Close()
			b.ReportAllocs()
			run(b, p, func(n int) {
				for i := range n {
					c.Set(&gomemcache.Item{Key: k[i%len(k)], Value: value})
				}
			})
		})
	}
}

// BenchmarkBulk writes batches of 500 records, as warm-up and appliers do.
func BenchmarkBulk(b *testing.B) {
	addr := servers.Memcached(b, "-m", "256")
	c, err := memcache.New(memcache.Config{Servers: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	k := keys(100000)
	value := make([]byte, 200)
	b.ReportAllocs()
	run(b, 4, func(n int) {
		ops := make([]memcache.Op, 0, 500)
		for i := range n {
			ops = append(ops, memcache.Op{Kind: memcache.Add, Key: k[i%len(k)], Value: value})
			if len(ops) == cap(ops) {
				if err := c.Do(context.Background(), ops); err != nil {
					b.Error(err)
				}
				ops = ops[:0]
			}
		}
	})
}

func fill(tb testing.TB, addr string, keys []string) {
	tb.Helper()
	c := gomemcache.New(addr)
	defer c.Close()
	for _, k := range keys {
		if err := c.Set(&gomemcache.Item{Key: k, Value: make([]byte, 100)}); err != nil {
			tb.Fatal(err)
		}
	}
}

// run shares b.N among p goroutines.
func run(b *testing.B, p int, f func(n int)) {
	b.Helper()
	b.ResetTimer()
	before := cpu()
	done := make(chan struct{})
	for i := range p {
		n := b.N / p
		if i < b.N%p {
			n++
		}
		go func() { f(n); done <- struct{}{} }()
	}
	for range p {
		<-done
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
