package lua

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sluice/lua/ngx"
	"sluice/lua/regex"
	"sluice/lua/shdict"
	"sluice/lua/socket"
	"sluice/lua/vm"
)

// Runtime is what all bundles of a process share: configuration, shared
// dictionaries, connection pools, counters.
type Runtime struct {
	cfg    Config
	api    *ngx.API
	zones  *shdict.Zones
	pools  *socket.Pools
	regexs *regex.Cache
	memory *ngx.Memory
	gate   chan struct{}

	counters
	mu      sync.Mutex
	bundles map[*Bundle]struct{}
	byKind  map[string]int64
}

type counters struct {
	requests, errors, breaches     atomic.Int64
	created, discarded             atomic.Int64
	waits, waitFailed, waitedNanos atomic.Int64
}

// NewRuntime makes a runtime.
func NewRuntime(cfg Config) *Runtime {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.MinVMs <= 0 {
		cfg.MinVMs = 4 * runtime.GOMAXPROCS(0)
	}
	if cfg.MaxVMs <= 0 {
		cfg.MaxVMs = 64 + cfg.MinVMs
	}
	if cfg.MaxRequests <= 0 {
		cfg.MaxRequests = 1024
	}
	cfg.MinVMs = min(cfg.MinVMs, cfg.MaxVMs)
	if cfg.VMWait <= 0 {
		cfg.VMWait = 100 * time.Millisecond
	}
	if cfg.VMIdle <= 0 {
		cfg.VMIdle = 30 * time.Second
	}
	cfg.Budget = cfg.Budget.Over(DefaultBudget())
	if cfg.ErrorPage == nil {
		cfg.ErrorPage = ngx.PlainErrorPage
	}
	if cfg.ChunkName == nil {
		cfg.ChunkName = func(path string) string { return "@" + path }
	}
	if cfg.DefaultType == "" {
		cfg.DefaultType = "text/plain"
	}
	if cfg.MaxPendingTimers <= 0 {
		cfg.MaxPendingTimers = 1024
	}
	if cfg.MaxRunningTimers <= 0 {
		cfg.MaxRunningTimers = 256
	}
	if cfg.TotalMemory == 0 {
		cfg.TotalMemory = 512 << 20
	}
	sizes := make(map[string]int64, len(cfg.Shared))
	for name, n := range cfg.Shared {
		sizes[name] = int64(n)
	}
	r := &Runtime{
		cfg:     cfg,
		api:     ngx.NewAPI(),
		zones:   shdict.NewZones(sizes, cfg.Clock),
		pools:   socket.NewPools(cfg.Sockets),
		regexs:  cfg.RegexCache,
		bundles: make(map[*Bundle]struct{}),
		byKind:  make(map[string]int64),
		memory:  ngx.NewMemory(cfg.TotalMemory),
		gate:    make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if r.regexs == nil {
		r.regexs = regex.NewCache(1024)
	}
	return r
}

// Share makes the dictionaries of ngx.shared that are not there yet: name ->
// bytes. VMs made from now on see them.
func (r *Runtime) Share(sizes map[string]int64) { r.zones.Add(sizes) }

// Close ends what the runtime keeps open. Bundles are closed first.
func (r *Runtime) Close() error {
	r.mu.Lock()
	bs := make([]*Bundle, 0, len(r.bundles))
	for b := range r.bundles {
		bs = append(bs, b)
	}
	r.mu.Unlock()
	for _, b := range bs {
		b.Close()
	}
	return r.pools.Close()
}

// host is what the VMs of one bundle share.
func (r *Runtime) host(retired chan struct{}) *ngx.Host {
	c := &r.cfg
	h := &ngx.Host{
		Log: c.LogFunc, Now: c.Clock, Retired: retired, Prefix: c.Prefix, DefaultType: c.DefaultType,
		ErrorPage: c.ErrorPage, Memory: r.memory, Gate: r.gate, SharedGlobals: c.SharedGlobals, ServerName: c.ServerName, Root: c.Root,
		MaxTimers: c.MaxPendingTimers, MaxRunning: c.MaxRunningTimers, TimerBudget: c.Budget, NewID: newID,
		Debug: c.Debug, Files: c.Files, TempDir: c.TempDir, Underscores: c.KeepUnderscores, ServerHeader: c.ServerHeader, Chunked: c.Chunked, DateHeader: c.DateHeader, StreamHTTP10: c.StreamHTTP10,
	}
	if h.Log == nil {
		h.Log = r.slog
	}
	h.Breach = func(q *ngx.Request, kind, where string) {
		r.breaches.Add(1)
		r.mu.Lock()
		r.byKind[kind]++
		r.mu.Unlock()
		if c.OnBreach != nil {
			c.OnBreach(Breach{Route: q.Route(), Kind: kind, Where: where})
		}
	}
	h.Failed = func(q *ngx.Request, phase, msg, tb string) {
		r.errors.Add(1)
		if c.OnError != nil {
			c.OnError(ScriptError{Route: q.Route(), Phase: phase, Message: msg, Traceback: tb})
		}
	}
	return h
}

var slogLevels = [...]slog.Level{slog.LevelError, slog.LevelError, slog.LevelError, slog.LevelError, slog.LevelError,
	slog.LevelWarn, slog.LevelInfo, slog.LevelInfo, slog.LevelDebug}

// slog is where lines of scripts go when nobody said otherwise.
func (r *Runtime) slog(q *ngx.Request, level int, msg string) {
	l := r.cfg.Logger
	lv := slogLevels[level]
	ctx := bgCtx
	if !l.Enabled(ctx, lv) {
		return
	}
	switch {
	case q == nil:
		l.Log(ctx, lv, msg)
	case q.Main() != nil && q.Ctx() != nil:
		l.Log(ctx, lv, msg, "route", q.Route(), "phase", q.Phase().String(), "request_id", q.RequestID())
	default:
		l.Log(ctx, lv, msg, "route", q.Route(), "phase", q.Phase().String())
	}
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// RequestOf is the request that t runs for, never nil; in init code and
// timers it has no fasthttp context.
func RequestOf(t *vm.Thread) *ngx.Request { return ngx.RequestOf(t) }

// Null is ngx.null.
var Null = ngx.Null

// Block runs f, which may wait for something outside (a backend, a clock),
// while other light threads of the VM go on. f must not touch Lua values.
func Block(t *vm.Thread, f func()) { ngx.Block(t, f) }

// BlockOn is Block for a job that is in memory already: a closure would be garbage of each request.
func BlockOn(t *vm.Thread, j ngx.Job) { ngx.BlockOn(t, j) }

// Stats is a snapshot of the counters.
type Stats struct {
	VMs, InUse, Idle   int   // of the bundles that are not closed; in use: some request sits in it
	InFlight           int   // requests that run scripts
	Created, Discarded int64 // VMs ever made; thrown away after a breach or a panic
	Waits, WaitFailed  int64 // requests that had to wait for a VM; that got none
	Waited             time.Duration
	Requests, Errors   int64
	Breaches           map[string]int64 // by kind
	TimersPending      int
	TimersRunning      int
}

// Stats reads the counters.
func (r *Runtime) Stats() Stats {
	s := Stats{
		Created: r.created.Load(), Discarded: r.discarded.Load(), Waits: r.waits.Load(), WaitFailed: r.waitFailed.Load(),
		Waited: time.Duration(r.waitedNanos.Load()), Requests: r.requests.Load(), Errors: r.errors.Load(),
		Breaches: make(map[string]int64),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, n := range r.byKind {
		s.Breaches[k] = n
	}
	for b := range r.bundles {
		all, idle, requests := b.pool.size()
		s.InFlight += requests
		s.VMs += all
		s.Idle += idle
		s.InUse += all - idle
		p, n := b.host.TimerCount()
		s.TimersPending += p
		s.TimersRunning += n
	}
	return s
}

// readReal reads a file of Config.PackagePath.
func readReal(path string) ([]byte, error) { return os.ReadFile(path) }
