package resp_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/resp"
	"sluice/internal/servers"
)

// A draw-like script from many goroutines, beside go-redis alone and with its
// AutoPipeline; cpu-us/op is this process' own CPU:
//
//	go test ./cachesync/resp -run '^$' -bench . -benchtime 1s
const script = `local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], ARGV[1], n)
return n`

var parallel = []int{1, 64, 256, 512}

func BenchmarkScript(b *testing.B) {
	r := servers.Redis(b, "--appendonly", "no")
	std := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1, PoolSize: 512})
	defer std.Close()
	sha, err := std.ScriptLoad(context.Background(), script).Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range parallel {
		b.Run(fmt.Sprintf("sluice/callers=%d", p), func(b *testing.B) {
			c := client(b, resp.Config{Addrs: []string{r.Addr}})
			run(b, p, func(g, n int) {
				var cmd resp.Cmd
				uid := fmt.Sprint("u", g)
				for range n {
					if err := c.Do(context.Background(), cmd.Reset("EVALSHA").Arg(sha).Int(1).Key("{b07}:x").Arg(uid)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			s := c.Stats()[0]
			b.ReportMetric(float64(s.Calls)/float64(s.Writes), "calls/write")
		})
		b.Run(fmt.Sprintf("autopipeline/callers=%d", p), func(b *testing.B) {
			ap, err := std.AutoPipeline()
			if err != nil {
				b.Fatal(err)
			}
			defer ap.Close()
			run(b, p, func(g, n int) {
				uid := fmt.Sprint("u", g)
				for range n {
					if err := ap.EvalSha(context.Background(), sha, []string{"{b07}:x"}, uid).Err(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run(fmt.Sprintf("go-redis/callers=%d", p), func(b *testing.B) {
			run(b, p, func(g, n int) {
				uid := fmt.Sprint("u", g)
				for range n {
					if err := std.EvalSha(context.Background(), sha, []string{"{b07}:x"}, uid).Err(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// run shares b.N among p goroutines and reports the CPU of this process.
func run(b *testing.B, p int, f func(g, n int)) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	done := make(chan struct{})
	for g := range p {
		n := b.N / p
		if g < b.N%p {
			n++
		}
		go func() { f(g, n); done <- struct{}{} }()
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
