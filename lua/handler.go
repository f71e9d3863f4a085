package lua

import (
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/ngx"
)

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

// Bound is a handler ready to serve. Safe for all goroutines.
type Bound struct {
	b       *Bundle
	route   string
	loc     ngx.Location
	budget  Budget
	streams bool
	onUsed  func(ngx.Used)
}

// Handler binds scripts to a route.
func (b *Bundle) Handler(h Handler) (*Bound, error) {
	bd := &Bound{b: b, route: h.Route, budget: b.rt.cfg.Budget, streams: b.streams}
	if h.Budget != nil {
		bd.budget = h.Budget.Over(b.rt.cfg.Budget)
	}
	bd.loc.Name = h.Route
	var err error
	steps := func(paths []string) (out []ngx.Step) {
		for _, p := range paths {
			c, ok := b.chunks[p]
			if !ok && err == nil {
				err = fmt.Errorf("route %s: no script %s in the bundle", h.Route, p)
			}
			out = append(out, ngx.Step{Lua: c})
		}
		return out
	}
	bd.loc.Rewrite = steps(h.Rewrite)
	bd.loc.Access = steps(h.Access)
	bd.loc.HeaderFilter = steps(h.HeaderFilter)
	bd.loc.BodyFilter = steps(h.BodyFilter)
	bd.loc.Log = steps(h.Log)
	if h.Content != "" {
		bd.loc.Content = &steps([]string{h.Content})[0]
	}
	if err != nil {
		return nil, err
	}
	return bd, nil
}

// Route is the handler's name.
func (bd *Bound) Route() string { return bd.route }

// Dispatcher finds what answers a sub-request (ngx.location.capture) or an
// internal jump (ngx.exec). ok false answers 404.
type Dispatcher func(method, path string) (bound *Bound, params Params, ok bool)

// SetDispatcher must be called before the first request.
func (b *Bundle) SetDispatcher(d Dispatcher) { b.server.Store(&server{d}) }

// server finds locations by the gateway's routes.
type server struct{ find Dispatcher }

func (s *server) Find(r *ngx.Request, named string) *ngx.Location {
	if s == nil || named != "" {
		return nil
	}
	bd, params, ok := s.find(r.Method(), r.URI())
	if !ok {
		return nil
	}
	r.SetParams(params)
	return &bd.loc
}

func (s *server) First() []ngx.Step { return nil }

func (s *server) ErrorPage(*ngx.Request, int) bool { return false }

var noServer = &server{find: func(string, string) (*Bound, Params, bool) { return nil, nil, false }}

// ServeWith serves a request for which srv finds the location: for tools that
// have locations of their own.
func (b *Bundle) ServeWith(ctx *fasthttp.RequestCtx, srv ngx.Server, route string) {
	bd := &Bound{b: b, route: route, budget: b.rt.cfg.Budget, streams: b.streams}
	bd.serve(ctx, nil, srv, nil)
}

// Serve runs the phases for one request and leaves the answer in ctx. Params
// must stay unchanged until Serve returns.
func (bd *Bound) Serve(ctx *fasthttp.RequestCtx, params Params) {
	srv := bd.b.server.Load()
	if srv == nil {
		srv = noServer
	}
	bd.serve(ctx, params, srv, &bd.loc)
}

func (bd *Bound) serve(ctx *fasthttp.RequestCtx, params Params, srv ngx.Server, loc *ngx.Location) {
	b := bd.b
	rt := b.rt
	rt.requests.Add(1)
	now := rt.cfg.Clock()
	s, err := b.pool.get(now)
	if s == nil {
		bd.busy(ctx, err)
		return
	}
	s.Start = ngx.Start{Ctx: ctx, Server: srv, Loc: loc, Params: params, Route: bd.route, Budget: bd.budget, Now: now}
	if bd.streams {
		s.ServeStream(func() { b.pool.put(s) })
		return
	}
	s.Serve()
	if bd.onUsed != nil {
		bd.onUsed(s.Used())
	}
	b.pool.put(s)
}

// busy answers when too many requests were there for too long.
func (bd *Bound) busy(ctx *fasthttp.RequestCtx, err error) {
	code := fasthttp.StatusServiceUnavailable
	if err != nil {
		code = fasthttp.StatusInternalServerError
		bd.b.rt.cfg.Logger.Error("no VM could be made", "route", bd.route, "err", err)
	} else {
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(max(1, int(bd.b.rt.cfg.VMWait/time.Second))))
	}
	ct, body := bd.b.rt.cfg.ErrorPage(code)
	ctx.SetStatusCode(code)
	ctx.SetContentType(ct)
	ctx.SetBodyString(body)
}
