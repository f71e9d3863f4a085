package lua

import (
	"github.com/valyala/fasthttp"

	"sluice/lua/ngx"
	"sluice/lua/vm"
)

// Runtime is what all bundles of a process share: configuration, shared
// dictionaries, counters, the watchdog.
type Runtime struct{ cfg Config }

// NewRuntime makes a runtime.
func NewRuntime(cfg Config) *Runtime { return &Runtime{cfg: cfg} }

// Close ends the runtime's goroutines. Bundles are closed first.
func (r *Runtime) Close() {}

// Script is a file that is an entry point, and the phase it runs in.
type Script struct {
	Path  string
	Phase string // "init", "init_worker", "rewrite", "access", "content", "header_filter", "body_filter", "log"
}

// Load compiles all .lua files, checks each entry in a fresh VM and warms the
// pool. The error names file and line.
func (r *Runtime) Load(files map[string]string, entry []Script) (*Bundle, error) { panic("soon") }

// Bundle is a loaded set of scripts with its VM pool. Immutable; safe for all
// goroutines.
type Bundle struct{}

// Handler is a route's scripts: paths in the bundle, by phase.
type Handler struct {
	Route        string // names the route in logs and metrics
	Rewrite      []string
	Access       []string
	Content      string
	HeaderFilter []string
	BodyFilter   []string
	Log          []string
	Budget       *Budget  // nil means the runtime's default; a zero field likewise
	Params       []string // names of the path parameters
}

// Handler binds scripts to a route.
func (b *Bundle) Handler(h Handler) (*Bound, error) { panic("soon") }

// Dispatcher finds what answers a sub-request (ngx.location.capture) or an
// internal jump (ngx.exec). ok false answers 404.
type Dispatcher func(method, path string) (bound *Bound, params Params, ok bool)

// SetDispatcher must be called before the first request.
func (b *Bundle) SetDispatcher(d Dispatcher) { panic("soon") }

// Version is the short hash of the content.
func (b *Bundle) Version() string { panic("soon") }

// Close lets requests in flight finish, then gives up the pool.
func (b *Bundle) Close() { panic("soon") }

// Bound is a handler ready to serve.
type Bound struct{}

// Serve runs the phases for one request and leaves the answer in ctx. Params
// must stay unchanged until Serve returns.
func (bd *Bound) Serve(ctx *fasthttp.RequestCtx, params Params) { panic("soon") }

// RequestOf is the request that t runs for, never nil; in init code and
// timers it has no fasthttp context.
func RequestOf(t *vm.Thread) *ngx.Request { return ngx.RequestOf(t) }

// Block runs f, which may wait for something outside (a backend, a clock),
// while other light threads of the VM go on. f must not touch Lua values.
func Block(t *vm.Thread, f func()) { ngx.Block(t, f) }

// Stats is a snapshot of the counters.
type Stats struct {
	VMs, InUse, Idle   int   // of the current bundles
	Created, Discarded int64 // VMs ever made; thrown away after a breach, a panic or dirty globals
	Waits, WaitFailed  int64 // requests that had to wait for a VM; that got none
	WaitNanos          int64 // time waited, in all
	Requests, Errors   int64
	Breaches           map[string]int64 // by kind
	Timers             int              // running and pending
}

// Stats reads the counters.
func (r *Runtime) Stats() Stats { panic("soon") }
