package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// host is what internal/servers needs of a test, for a program.
type host struct{ cleanups []func() }

func (h *host) Helper() {}
func (h *host) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	h.close()
	os.Exit(1)
}
func (h *host) Logf(string, ...any) {}
func (h *host) Cleanup(f func())    { h.cleanups = append(h.cleanups, f) }
func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "sluice-regions-")
	if err != nil {
		h.Fatalf("regions: %v", err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// close ends what was started, the last first.
func (h *host) close() {
	for len(h.cleanups) > 0 {
		last := len(h.cleanups) - 1
		f := h.cleanups[last]
		h.cleanups = h.cleanups[:last]
		f()
	}
}

func (h *host) absolute(path string) string {
	whole, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(whole)
	}
	if err != nil {
		h.Fatalf("regions: %v; `make build` makes ./sluice, and this is started from the repository", err)
	}
	return whole
}
