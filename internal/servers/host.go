package servers

import (
	"fmt"
	"os"
)

// Host is the TB of a program that is no test, such as a benchmark. What was started ends with
// Close; Fatalf closes and exits. It belongs to one goroutine.
type Host struct {
	Name  string // of its temporary folders
	Quiet bool   // say nothing but what is fatal

	cleanups []func()
}

var _ TB = (*Host)(nil)

// Helper does nothing.
func (h *Host) Helper() {}

// Logf writes a line to standard error.
func (h *Host) Logf(format string, args ...any) {
	if !h.Quiet {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// Fatalf writes a line to standard error, ends what was started, and exits with 1.
func (h *Host) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	h.Close()
	os.Exit(1)
}

// Cleanup adds what Close does, the last first.
func (h *Host) Cleanup(f func()) { h.cleanups = append(h.cleanups, f) }

// TempDir makes a folder that Close removes.
func (h *Host) TempDir() string {
	dir, err := os.MkdirTemp("", "sluice-"+h.Name+"-")
	if err != nil {
		h.Fatalf("servers: %v", err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Part runs f and ends what it started.
func (h *Host) Part(f func()) {
	n := len(h.cleanups)
	f()
	h.unwind(n)
}

// Close ends everything.
func (h *Host) Close() { h.unwind(0) }

// unwind takes each off before it is run: one that fails begins again with the next.
func (h *Host) unwind(to int) {
	for len(h.cleanups) > to {
		last := len(h.cleanups) - 1
		f := h.cleanups[last]
		h.cleanups = h.cleanups[:last]
		f()
	}
}
