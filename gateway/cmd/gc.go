package cmd

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// What lives in a gateway is little (VMs, buffers, tokens) and its garbage much, so four times as much of it may
// gather as lives. With many connections that would be too much memory: then it is at most garbageBytes, or
// as much as what lives.
const (
	gcPercent    = 400
	garbageBytes = 256 << 20
)

// tuneGC is for processes that answer clients; GOGC in the environment goes before it.
func tuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	now := gcPercent
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	type mark struct{ _ [16]byte }
	var after func(*mark)
	after = func(m *mark) { // each collection finds m dead, once
		metrics.Read(live)
		if want := garbagePercent(live[0].Value.Uint64()); want != now {
			now = want
			debug.SetGCPercent(now)
		}
		runtime.SetFinalizer(m, after)
	}
	runtime.SetFinalizer(new(mark), after)
}

// garbagePercent is the GOGC for so many bytes that live, in steps of ten.
func garbagePercent(live uint64) int {
	percent := uint64(gcPercent)
	if live > 0 {
		percent = min(percent, garbageBytes*100/live)
	}
	return int(max(percent, 100) / 10 * 10)
}
