package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sort"
	"strings"
	"time"
)

// parts says to whom a stack belongs: the frames are walked from the leaf, the first that is known decides.
// What is nobody's own (memmove, syscalls, net) falls to the caller who wanted it.
var parts = []struct{ frame, part string }{
	{"runtime.gcBgMarkWorker", "memory: allocation and GC"}, {"runtime.mallocgc", "memory: allocation and GC"}, {"runtime.gcAssist", "memory: allocation and GC"},
	{"runtime.bgsweep", "memory: allocation and GC"}, {"runtime.bgscavenge", "memory: allocation and GC"},
	{"runtime.mcall", "scheduler"}, {"runtime.mstart", "scheduler"}, {"runtime.goready", "scheduler"}, {"runtime.newproc", "scheduler"}, {"runtime.chan", "scheduler"}, {"runtime.selectgo", "scheduler"},
	{"runtime.Gosched", "scheduler"}, {"runtime.sysmon", "scheduler"}, {"sync.(*Cond)", "scheduler"},
	{"sluice/cachesync/memcache", "memcached client"}, {"sluice/cachesync/resp", "Redis client"}, {"sluice/cachesync/pipeline", "backend connections"},
	{"sluice/cachesync", "cache records"}, {"sluice/gateway/token", "token check"}, {"sluice/gateway/redpacket", "red packet"}, {"sluice/gateway/modules", "red packet"},
	{"sluice/lua/", "Lua"}, {"sluice/lua.", "Lua"}, {"sluice/gateway/epoll", "HTTP"}, {"sluice/gateway", "gateway: route, metrics, admission"}, {"github.com/valyala/fasthttp", "HTTP"},
}

func partOf(stack []string) string {
	for _, frame := range stack {
		for _, p := range parts {
			if strings.HasPrefix(frame, p.frame) {
				return p.part
			}
		}
	}
	return "other"
}

// budget says where a request's CPU goes: the profile's shares of what the kernel counted per request.
func budget(ctx context.Context, w io.Writer, binary, file string, perRequest time.Duration) error {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", binary, file).Output()
	if err != nil {
		return fmt.Errorf("peers: go tool pprof: %w", err)
	}
	shares, total := split(out)
	if total == 0 {
		return fmt.Errorf("peers: %s holds no samples", file)
	}
	names := make([]string, 0, len(shares))
	for name := range shares {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return shares[names[i]] > shares[names[j]] })
	fmt.Fprintf(w, "gateway CPU a request: %.1f us, by %s of samples\n", float64(perRequest)/1e3, total)
	for _, name := range names {
		share := float64(shares[name]) / float64(total)
		fmt.Fprintf(w, "  %6.1f us  %4.1f %%  %s\n", share*float64(perRequest)/1e3, share*100, name)
	}
	return nil
}

// split reads pprof's -traces: blocks of a value with the leaf, and the callers below it.
func split(traces []byte) (shares map[string]time.Duration, total time.Duration) {
	shares = map[string]time.Duration{}
	var value time.Duration
	var stack []string
	end := func() {
		if len(stack) > 0 {
			shares[partOf(stack)] += value
			total += value
		}
		stack = nil
	}
	for s := bufio.NewScanner(bytes.NewReader(traces)); s.Scan(); {
		f := strings.Fields(s.Text())
		switch {
		case strings.HasPrefix(s.Text(), "-----"):
			end()
		case len(f) >= 2 && len(stack) == 0:
			if d, err := time.ParseDuration(f[0]); err == nil {
				value, stack = d, []string{f[1]}
			}
		case len(f) >= 1 && len(stack) > 0:
			stack = append(stack, f[0])
		}
	}
	end()
	return shares, total
}
