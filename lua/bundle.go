package lua

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/lua/ngx"
	"sluice/lua/vm"
)

var bgCtx = context.Background()

// Script is a file that is an entry point, and the phase it runs in.
type Script struct {
	Path  string
	Phase string // "init", "init_worker", "rewrite", "access", "content", "header_filter", "body_filter", "log"; "use" is only compiled
}

// LoadError says why a bundle cannot go live.
type LoadError struct {
	File string
	Msg  string // as Lua says it, with file:line
}

func (e *LoadError) Error() string { return e.Msg }

// Bundle is a loaded set of scripts with its VM pool. Immutable; safe for all
// goroutines.
type Bundle struct {
	rt      *Runtime
	version string
	files   map[string]string
	chunks  map[string]*ngx.Chunk
	inits   []*ngx.Chunk
	workers []*ngx.Chunk
	host    *ngx.Host
	pool    *pool
	streams bool // some script flushes
	server  atomic.Pointer[server]
	worker  *ngx.VM
	retired chan struct{}
	once    sync.Once
}

// VersionOf is the short hash of a set of files.
func VersionOf(files map[string]string) string {
	h := sha256.New()
	for _, n := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d:%s%d:", len(n), n, len(files[n]))
		h.Write([]byte(files[n]))
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Load compiles all .lua files, checks the entries and the modules they
// require in a fresh VM, and warms the pool. The error names file and line.
func (r *Runtime) Load(files map[string]string, entry []Script) (*Bundle, error) {
	b := &Bundle{rt: r, version: VersionOf(files), files: files, chunks: make(map[string]*ngx.Chunk), retired: make(chan struct{})}
	b.host = r.host(b.retired)
	scripts := make(map[string]bool)
	for n := range files {
		if strings.HasSuffix(n, ".lua") {
			scripts[n] = true
		}
	}
	for _, e := range entry {
		if _, ok := files[e.Path]; ok {
			scripts[e.Path] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(scripts)) {
		p, err := vm.Compile(r.cfg.ChunkName(n), files[n])
		if err != nil {
			return nil, &LoadError{File: n, Msg: err.Error()}
		}
		b.chunks[n] = &ngx.Chunk{ID: len(b.chunks), Name: n, Proto: p}
		b.streams = b.streams || strings.Contains(files[n], "ngx.flush") || strings.Contains(files[n], "ngx.eof")
	}
	for _, e := range entry {
		c, ok := b.chunks[e.Path]
		if !ok {
			return nil, &LoadError{File: e.Path, Msg: e.Path + ": no such script in the bundle"}
		}
		switch e.Phase {
		case "init":
			b.inits = append(b.inits, c)
		case "init_worker":
			b.workers = append(b.workers, c)
		}
	}
	if err := b.start(entry); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.bundles[b] = struct{}{}
	r.mu.Unlock()
	go b.housekeep()
	return b, nil
}

// start checks the bundle in a fresh VM and warms the pool.
func (b *Bundle) start(entry []Script) error {
	v, err := b.newVM()
	if err != nil {
		return err
	}
	for _, e := range entry {
		if e.Phase == "use" {
			continue
		}
		if err := b.checkRequires(v, e.Path); err != nil {
			return err
		}
	}
	if len(b.workers) > 0 {
		b.worker = v
		for _, c := range b.workers {
			if err := v.RunInit(c, ngx.PhaseInitWorker); err != nil {
				return loadError(c.Name, err)
			}
		}
	}
	c := &b.rt.cfg
	b.pool = &pool{make: b.newVM, min: c.MinVMs, max: c.MaxVMs, requests: c.MaxRequests, wait: c.VMWait, idle: c.VMIdle, now: c.Clock, count: &b.rt.counters}
	if len(b.workers) == 0 || c.SharedGlobals {
		b.rt.created.Add(1)
		b.pool.vms = []pooledVM{{v, c.Clock()}}
	}
	return b.pool.warm()
}

func loadError(file string, err error) error {
	var le *vm.Error
	if errors.As(err, &le) {
		return &LoadError{File: file, Msg: le.Error() + "\n" + strings.TrimPrefix(le.Traceback, "\n")}
	}
	return &LoadError{File: file, Msg: file + ": " + err.Error()}
}

// Chunk is the compiled script of a path, nil when there is none.
func (b *Bundle) Chunk(path string) *ngx.Chunk { return b.chunks[path] }

// Version is the short hash of the content.
func (b *Bundle) Version() string { return b.version }

// Files are the contents; not to be changed.
func (b *Bundle) Files() map[string]string { return b.files }

func (b *Bundle) housekeep() {
	tk := time.NewTicker(max(b.rt.cfg.VMIdle/4, 10*time.Millisecond))
	defer tk.Stop()
	for {
		select {
		case <-tk.C:
			b.pool.shrink(b.rt.cfg.Clock())
		case <-b.retired:
			return
		}
	}
}

// Close retires the bundle: requests in flight finish on it, timers fire a
// last time with premature set, and its VMs are given up as they come back.
func (b *Bundle) Close() {
	b.once.Do(func() {
		close(b.retired)
		b.host.Retire()
		b.pool.close(func() {
			b.rt.mu.Lock()
			delete(b.rt.bundles, b)
			b.rt.mu.Unlock()
		})
	})
}
