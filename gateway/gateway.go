package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"sluice/gateway/admission"
	"sluice/gateway/config"
	"sluice/gateway/epoll"
	"sluice/gateway/site"
	"sluice/gateway/token"
	"sluice/lua"
	"sluice/lua/bundle"
	"sluice/lua/socket"
)

// drainTime is how long requests in flight may take once the gateway ends.
const drainTime = 8 * time.Second

// Parts are what a Gateway is built from besides its configuration.
type Parts struct {
	// Modules are the sluice.* modules of the handlers.
	Modules []lua.Module
	// Tokens says whose bodies may be as large as a route allows; others' are bounded by
	// limits.body_bytes before they are read. nil means that all are.
	Tokens *token.Ring
	// Registry takes the metrics.
	Registry prometheus.Registerer
	// Logger is the process's; it must not be nil.
	Logger *slog.Logger
}

// Gateway is the public listener and the site behind it.
type Gateway struct {
	cfg     config.Config
	log     *slog.Logger
	runtime *lua.Runtime
	scripts *bundle.Store
	gate    *admission.Gate
	metrics *metrics
	tokens  *token.Ring
	ids     *requestIDs
	trusted []netip.Prefix
	server  *fasthttp.Server
	ln      *epoll.Listener

	draining atomic.Bool
}

// New loads the scripts and opens the public listener; nothing is served
// before Run.
func New(cfg config.Config, parts Parts) (*Gateway, error) {
	g := &Gateway{
		cfg: cfg, log: parts.Logger, gate: admission.New(cfg.Limits.InFlight),
		metrics: newMetrics(parts.Registry), ids: newRequestIDs(), tokens: parts.Tokens,
	}
	for _, cidr := range cfg.Limits.TrustedProxies {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("gateway: trusted proxy %q: %w", cidr, err)
		}
		g.trusted = append(g.trusted, prefix)
	}
	lc, err := luaConfig(cfg, parts)
	if err != nil {
		return nil, err
	}
	g.runtime = lua.NewRuntime(lc)
	if err := g.loadScripts(); err != nil {
		g.runtime.Close()
		return nil, err
	}
	ln, err := epoll.Listen("tcp", cfg.Listen, epoll.Options{
		Connections: cfg.Limits.Connections, PerIP: cfg.Limits.ConnectionsPerIP, Silence: cfg.Limits.ReadTimeout, Refusal: g.tooMany})
	if err != nil {
		g.runtime.Close()
		return nil, fmt.Errorf("gateway: %w; is another gateway running? see listen in sluice.yaml", err)
	}
	g.ln, g.server = ln, g.newServer()
	registerRuntime(parts.Registry, g)
	return g, nil
}

func luaConfig(cfg config.Config, parts Parts) (lua.Config, error) {
	authorities, err := certificates(cfg.Lua.TrustedCertificates)
	if err != nil {
		return lua.Config{}, err
	}
	breaches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_script_budget_breaches_total", Help: "Handler runs ended by their budget."}, []string{"route", "kind"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_script_errors_total", Help: "Handler runs ended by an error."}, []string{"route", "phase"})
	parts.Registry.MustRegister(breaches, failures)
	return lua.Config{
		Logger: parts.Logger, Modules: parts.Modules, MinVMs: cfg.Lua.VMs, MaxRequests: cfg.Lua.MaxRequests,
		Budget: lua.Budget{
			Instructions: cfg.Lua.Instructions, Wall: cfg.Lua.WallTime,
			Memory: cfg.Lua.MemoryBytes, Output: cfg.Lua.OutputBytes,
			Calls: cfg.Lua.Calls, Subrequests: cfg.Lua.Subrequests, Timers: cfg.Lua.Timers,
		},
		TotalMemory: cfg.Lua.TotalMemoryBytes,
		PackagePath: []string{"/usr/share/lua/5.1"},
		Prefix:      cfg.Scripts,
		Sockets:     socket.Config{TrustedCAs: authorities},
		OnBreach:    func(b lua.Breach) { breaches.WithLabelValues(b.Route, b.Kind).Inc() },
		OnError:     func(e lua.ScriptError) { failures.WithLabelValues(e.Route, e.Phase).Inc() },
	}, nil
}

// certificates reads a PEM file; none named means nil, the system's.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("gateway: lua.trusted_certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("gateway: lua.trusted_certificates: %s holds no PEM certificate", file)
	}
	return pool, nil
}

func (g *Gateway) loadScripts() (err error) {
	g.scripts, err = bundle.Open(bundle.Config{
		Dir: g.cfg.Scripts, StateDir: filepath.Join(g.cfg.Data, "bundles"), Logger: g.log,
		Check:  func(files bundle.Files) (any, error) { return site.Load(g.runtime, files) },
		Retire: func(old any) { old.(*site.Site).Close() },
	})
	return err
}

func (g *Gateway) newServer() *fasthttp.Server {
	l := g.cfg.Limits
	return &fasthttp.Server{
		Handler: g.serve, ErrorHandler: g.refuse, Name: "sluice",
		Concurrency:    math.MaxInt32, // the listener bounds connections: the server counts on while a turn ends
		ConnState:      g.connState,
		ReadBufferSize: l.HeaderBytes, MaxRequestBodySize: l.BodyBytes, HeaderReceived: g.bodyLimit,
		ReadTimeout: l.ReadTimeout, WriteTimeout: l.WriteTimeout, IdleTimeout: l.IdleTimeout,
		NoDefaultContentType: true, CloseOnShutdown: true, TCPKeepalive: true,
		Logger: quiet{g.log},
	}
}

// connState gives each request a write deadline of its own: until its answer the server lets the last answer's
// stand, which may be long past when "100 Continue" or a refusal is to be written.
func (g *Gateway) connState(c net.Conn, state fasthttp.ConnState) {
	if l := &g.cfg.Limits; state == fasthttp.StateActive && l.WriteTimeout > 0 {
		c.SetWriteDeadline(time.Now().Add(l.ReadTimeout + l.WriteTimeout))
	}
	epoll.ConnState(c, state)
}

// quiet keeps fasthttp's lines about clients' broken connections at debug.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) { q.log.Debug(fmt.Sprintf(format, args...)) }

// Addr is where the public listener listens.
func (g *Gateway) Addr() string { return g.ln.Addr().String() }

// Scripts is the store of the live bundle, for the admin API.
func (g *Gateway) Scripts() *bundle.Store { return g.scripts }

// Draining says that the process is about to end: readiness is off.
func (g *Gateway) Draining() bool { return g.draining.Load() }

// Run serves until ctx ends, then drains.
func (g *Gateway) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go g.gate.Run(background)
	if !g.cfg.Lua.Unwatched {
		go func() {
			if err := g.scripts.Watch(background); err != nil && !errors.Is(err, context.Canceled) {
				g.log.Error("scripts are not watched any more; use `sluice script push`", "err", err)
			}
		}()
	}
	served := make(chan error, 1)
	go func() { served <- g.ln.Serve(g.server.ServeConn) }()
	select {
	case err := <-served:
		return fmt.Errorf("gateway: public listener: %w", err)
	case <-ctx.Done():
	}
	g.draining.Store(true)
	g.log.Info("draining: listener closed, requests in flight finish", "at_most", drainTime)
	limit, done := context.WithTimeout(context.Background(), drainTime)
	defer done()
	g.ln.Close()
	err := g.ln.Drain(limit)
	g.scripts.Live().(*site.Site).Close()
	g.runtime.Close()
	if err != nil {
		return fmt.Errorf("gateway: drain: %w", err)
	}
	return nil
}
