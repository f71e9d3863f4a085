// Package site joins a bundle's Lua handlers with its routes, so that both are
// checked together and go live together: what a request sees is one Site.
//
//	store (lua/bundle) --Check--> Site{table, handlers} --atomic swap--> live
package site

import (
	"fmt"
	"strings"

	"sluice/gateway/route"
	"sluice/lua"
	"sluice/lua/ngx"
)

// Site is one live version of the scripts; immutable.
type Site struct {
	Table  *route.Table
	Bundle *lua.Bundle
	bound  []*lua.Bound // by Route.Index
}

// Load compiles and checks the files of a scripts folder.
func Load(runtime *lua.Runtime, files map[string]string) (*Site, error) {
	text, ok := files[route.FileName]
	if !ok {
		return nil, fmt.Errorf("%s: is missing; it says which script answers which path", route.FileName)
	}
	table, err := route.Parse(text, func(script string) bool {
		_, ok := files[script]
		return ok && strings.HasSuffix(script, ".lua")
	})
	if err != nil {
		return nil, err
	}
	runtime.Share(table.Shared)
	bundle, err := runtime.Load(files, entries(table))
	if err != nil {
		return nil, err
	}
	s := &Site{Table: table, Bundle: bundle}
	for _, r := range table.Routes {
		bound, err := bundle.Handler(handler(r))
		if err != nil {
			bundle.Close()
			return nil, fmt.Errorf("%s:%d: route %q: %w", route.FileName, r.Line, r.Name, err)
		}
		s.bound = append(s.bound, bound)
	}
	bundle.SetDispatcher(s.dispatch)
	return s, nil
}

// Bound is the handler of a route of this site.
func (s *Site) Bound(r *route.Route) *lua.Bound { return s.bound[r.Index] }

// Close lets requests in flight finish and gives up the VMs.
func (s *Site) Close() { s.Bundle.Close() }

// dispatch serves ngx.location.capture and ngx.exec inside the same site.
func (s *Site) dispatch(method, path string) (*lua.Bound, lua.Params, bool) {
	var values route.Values
	r, verdict := s.Table.Find(method, path, &values)
	if verdict != route.Found || !r.On() {
		return nil, nil, false
	}
	return s.bound[r.Index], Params(r, &values, nil), true
}

// Params appends the path parameters of a request as scripts see them.
func Params(r *route.Route, values *route.Values, to lua.Params) lua.Params {
	for i, name := range r.Params {
		to = append(to, ngx.Param{Name: name, Value: values[i]})
	}
	return to
}

func entries(table *route.Table) []lua.Script {
	var all []lua.Script
	seen := map[lua.Script]bool{}
	add := func(phase string, scripts ...string) {
		for _, s := range scripts {
			if one := (lua.Script{Path: s, Phase: phase}); s != "" && !seen[one] {
				seen[one] = true
				all = append(all, one)
			}
		}
	}
	add("init", table.Init...)
	add("init_worker", table.InitWorker...)
	for _, r := range table.Routes {
		add("rewrite", r.Rewrite...)
		add("access", r.Access...)
		add("content", r.Content)
		add("header_filter", r.HeaderFilter...)
		add("body_filter", r.BodyFilter...)
		add("log", r.Log...)
	}
	return all
}

func handler(r *route.Route) lua.Handler {
	h := lua.Handler{
		Route: r.Name, Rewrite: r.Rewrite, Access: r.Access, Content: r.Content,
		HeaderFilter: r.HeaderFilter, BodyFilter: r.BodyFilter, Log: r.Log, Params: r.Params,
	}
	if r.Budget != (route.Budget{}) {
		h.Budget = &lua.Budget{
			Instructions: r.Budget.Instructions, Wall: r.Budget.WallTime,
			Memory: r.Budget.MemoryBytes, Output: r.Budget.OutputBytes,
			Calls: r.Budget.Calls, Subrequests: r.Budget.Subrequests, Timers: r.Budget.Timers,
		}
	}
	return h
}
