package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dlclark/regexp2"
	"github.com/valyala/fasthttp"

	"sluice/lua/ngx"
)

// pick finds the server block by its name.
func (c *config) pick(ctx *fasthttp.RequestCtx, def *server) *server {
	host := strings.ToLower(string(ctx.Host()))
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	for _, s := range c.servers {
		if len(s.listen) > 0 && len(def.listen) > 0 && s.listen[0] != def.listen[0] {
			continue
		}
		for _, n := range s.names {
			if n == host {
				return s
			}
		}
	}
	return def
}

var _ ngx.Server = (*server)(nil)

func (srv *server) First() []ngx.Step { return srv.first }

func (srv *server) Find(r *ngx.Request, named string) *ngx.Location {
	if named != "" {
		if l := srv.named[named]; l != nil {
			return &l.loc
		}
		srv.c.logf(r, ngx.LevelErr, fmt.Sprintf("could not find named location %q", named))
		return nil
	}
	for v := range srv.c.vars {
		r.DefineVar(v)
	}
	if l := findLoc(r, srv.locs); l != nil {
		return &l.loc
	}
	return nil
}

func findLoc(r *ngx.Request, locs []*location) *location {
	uri := r.URI()
	var best *location
	for _, l := range locs {
		switch l.mod {
		case "=":
			if l.path == uri {
				return l
			}
		case "", "^~":
			if strings.HasPrefix(uri, l.path) && (best == nil || len(l.path) > len(best.path)) {
				best = l
			}
		}
	}
	if best != nil && len(best.subs) > 0 {
		if l := findLoc(r, best.subs); l != nil {
			return l
		}
	}
	if best == nil || best.mod != "^~" {
		for _, l := range locs {
			if l.re == nil {
				continue
			}
			if m, err := l.re.FindStringMatch(uri); err == nil && m != nil {
				r.SetCaptures(groups(m))
				return l
			}
		}
	}
	return best
}

func groups(m *regexp2.Match) []string {
	var out []string
	for _, g := range m.Groups() {
		out = append(out, g.String())
	}
	return out
}

func (srv *server) ErrorPage(r *ngx.Request, status int) bool {
	var l *location
	if r.Location() != nil {
		l, _ = r.Location().Data.(*location)
	}
	if l == nil {
		l = srv.inh
	}
	for ; l != nil; l = l.up {
		if len(l.errs) == 0 {
			continue
		}
		for _, e := range l.errs {
			for _, code := range e.codes {
				if code != status {
					continue
				}
				if e.over > 0 {
					r.SetStatus(e.over)
				}
				r.KeepStatus(e.over != 0)
				if strings.HasPrefix(e.uri, "@") {
					r.JumpNamed(e.uri)
				} else {
					u, a, _ := strings.Cut(expandVars(r, e.uri), "?")
					if r.Method() != "HEAD" {
						r.SetMethod("GET")
					}
					r.Jump(u, a)
				}
				return true
			}
		}
		return false
	}
	return false
}

var varRef = regexp.MustCompile(`\$(\w+)|\$\{(\w+)\}`)

// expandVars replaces $name and ${name}.
func expandVars(r *ngx.Request, s string) string {
	if strings.IndexByte(s, '$') < 0 {
		return s
	}
	return varRef.ReplaceAllStringFunc(s, func(m string) string {
		v, _ := r.Var(strings.Trim(m[1:], "{}"))
		return v
	})
}
