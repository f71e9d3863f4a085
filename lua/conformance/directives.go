package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"

	"sluice/lua/ngx"
)

// directive applies one directive to a location, server or http level.
func (l *location) directive(d *directive) error {
	if i := strings.Index(d.name, "_by_lua"); i > 0 {
		return l.byLua(d, d.name[:i], d.name[i+len("_by_lua"):])
	}
	a := d.args
	set := func(f func(r *ngx.Request) int) { l.loc.Set = append(l.loc.Set, ngx.Step{Go: f}) }
	switch d.name {
	case "set":
		name, val := strings.TrimPrefix(a[0], "$"), a[1]
		set(func(r *ngx.Request) int { r.SetVar(name, expandVars(r, val)); return ngx.Declined })
	case "break":
		set(func(*ngx.Request) int { return ngx.Again })
	case "return":
		set(l.doReturn(a))
	case "rewrite":
		f, err := doRewrite(a)
		if err != nil {
			return err
		}
		set(f)
	case "if":
		return l.doIf(d)
	case "internal":
		l.loc.Internal = true
	case "default_type":
		l.loc.DefaultType = a[0]
	case "lua_need_request_body":
		l.loc.NeedBody = a[0] == "on"
	case "client_body_in_file_only":
		if a[0] != "off" {
			l.loc.BodyInFile = -1
		}
	case "client_body_buffer_size":
		if n := size(a[0]); l.loc.BodyInFile >= 0 {
			l.loc.BodyInFile = max(n, 1)
		}
	case "lua_use_default_type":
		l.loc.NoDefaultType = a[0] == "off"
	case "if_modified_since":
		l.loc.ModifiedBefore = a[0] == "before"
	case "satisfy":
		l.loc.SatisfyAny = a[0] == "any"
	case "allow", "deny":
		l.allowDeny(d)
	case "error_page":
		e := errPage{over: -1, uri: a[len(a)-1]}
		for _, x := range a[:len(a)-1] {
			if strings.HasPrefix(x, "=") {
				e.over, _ = strconv.Atoi(x[1:])
				continue
			}
			n, _ := strconv.Atoi(x)
			e.codes = append(e.codes, n)
		}
		l.errs = append(l.errs, e)
	case "add_header":
		name, val := a[0], a[1]
		l.loc.HeaderFilter = append(l.loc.HeaderFilter, ngx.Step{Go: func(r *ngx.Request) int {
			switch r.Status() {
			case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
				r.SetRespHeader(name, expandVars(r, val), true)
			}
			return ngx.OK
		}})
	case "more_set_headers", "more_clear_headers", "more_set_input_headers", "more_clear_input_headers":
		l.more(d)
	case "charset":
		cs := a[0]
		types := []string{"text/"}
		if d := l.srv.c.find("charset_types"); d != nil {
			types = append(types, d.args...)
		}
		l.loc.HeaderFilter = append(append([]ngx.Step(nil), l.loc.HeaderFilter...), ngx.Step{Go: func(r *ngx.Request) int {
			if ct, ok := r.RespHeader("content-type"); ok && !strings.Contains(ct, "charset") {
				for _, x := range types {
					if strings.HasPrefix(ct, x) {
						r.SetRespHeader("Content-Type", ct+"; charset="+cs, false)
						break
					}
				}
			}
			return ngx.OK
		}})
	case "try_files":
		l.tryFiles(a)
	case "root", "alias", "index", "etag", "chunked_transfer_encoding":
		l.d[d.name] = d
	default:
		if strings.HasPrefix(d.name, "echo") {
			l.echo(d)
		}
	}
	return nil
}

// byLua binds a script to a phase.
func (l *location) byLua(d *directive, phase, kind string) error {
	c := l.srv.c
	var get func(r *ngx.Request) (*ngx.Chunk, int)
	rest := d.args
	if phase == "set" {
		rest = d.args[1:]
	}
	name := phase + "_by_lua"
	switch {
	case kind == "_no_postpone":
		return nil
	case d.isBlk:
		get = c.script(c.inline(name, d.line, d.lua))
	case kind == "_file":
		get = c.file(rest[0])
		rest = rest[1:]
	case len(rest) > 0:
		get = c.script(c.inline(name, d.line, rest[0]))
		rest = rest[1:]
	default:
		return nil
	}
	run := func(p ngx.Phase) ngx.Step {
		return ngx.Step{Go: func(r *ngx.Request) int {
			ch, rc := get(r)
			if ch == nil {
				return rc
			}
			if l.needBody(r) {
				r.ReadBody()
			}
			return r.Script(ch, p)
		}}
	}
	filter := func(old []ngx.Step) []ngx.Step {
		var out []ngx.Step
		for _, s := range old {
			if s.Go != nil {
				out = append(out, s)
			}
		}
		return append(out, ngx.Step{Get: get})
	}
	switch phase {
	case "set":
		v := strings.TrimPrefix(d.args[0], "$")
		l.loc.Set = append(l.loc.Set, ngx.Step{Go: func(r *ngx.Request) int {
			ch, _ := get(r)
			if ch == nil {
				return 500
			}
			var args []string
			for _, x := range rest {
				args = append(args, expandVars(r, x))
			}
			s, rc := r.EvalSet(ch, args)
			if rc == ngx.Declined {
				r.SetVar(v, s)
			}
			return rc
		}})
	case "server_rewrite":
		l.srv.first = append(l.srv.first, run(ngx.PhaseServerRewrite))
	case "rewrite":
		if c.flag("rewrite_by_lua_no_postpone", false) {
			s := run(ngx.PhaseRewrite)
			l.loc.Set = append([]ngx.Step{{Go: func(r *ngx.Request) int {
				if rc := s.Go(r); rc != ngx.OK {
					return rc
				}
				return ngx.Declined
			}}}, l.loc.Set...)
			return nil
		}
		l.loc.Rewrite = []ngx.Step{run(ngx.PhaseRewrite)}
	case "access":
		if c.flag("access_by_lua_no_postpone", false) {
			l.loc.Access = append([]ngx.Step{run(ngx.PhaseAccess)}, l.loc.Access...)
			return nil
		}
		l.setAccess(run(ngx.PhaseAccess))
	case "precontent":
		l.loc.Precontent = []ngx.Step{run(ngx.PhasePrecontent)}
	case "content":
		s := run(ngx.PhaseContent)
		l.loc.Content = &s
	case "header_filter":
		l.loc.HeaderFilter = filter(l.loc.HeaderFilter)
	case "body_filter":
		l.loc.BodyFilter = []ngx.Step{{Get: get}}
	case "log":
		l.loc.Log = []ngx.Step{{Get: get}}
	}
	return nil
}

func (l *location) needBody(r *ngx.Request) bool { return r.Location() != nil && r.Location().NeedBody }

// setAccess replaces the script, keeps allow and deny.
func (l *location) setAccess(s ngx.Step) {
	if l.has["access"] {
		l.loc.Access = append(l.loc.Access[:1:1], s)
		return
	}
	l.loc.Access = []ngx.Step{s}
}

func (l *location) allowDeny(d *directive) {
	rules, _ := l.d["rules"], 0
	if rules == nil {
		rules = &directive{}
		l.d["rules"] = rules
		l.has["access"] = true
		l.loc.Access = append([]ngx.Step{{Go: func(r *ngx.Request) int {
			for _, x := range rules.block {
				if x.args[0] == "all" || x.args[0] == "127.0.0.1" {
					if x.name == "allow" {
						return ngx.OK
					}
					if !l.loc.SatisfyAny {
						l.srv.c.logf(r, ngx.LevelErr, "access forbidden by rule")
					}
					return 403
				}
			}
			return ngx.Declined
		}}}, l.loc.Access...)
	}
	rules.block = append(rules.block, d)
}

func (l *location) doReturn(a []string) func(r *ngx.Request) int {
	code, err := strconv.Atoi(a[0])
	text := ""
	if err != nil {
		code, text = 302, a[0]
	} else if len(a) > 1 {
		text = a[1]
	}
	has := len(a) > 1 || err != nil
	return func(r *ngx.Request) int {
		switch {
		case code == 301 || code == 302 || code == 303 || code == 307 || code == 308:
			u := expandVars(r, text)
			if strings.HasPrefix(u, "/") && r.Main() == r {
				h, _ := r.Main().Header("host")
				u = "http://" + h + u
			}
			r.SetRespHeader("Location", u, false)
			return code
		case has:
			r.SetStatus(code)
			r.SetContentStep()
			r.Write(expandVars(r, text))
			return ngx.OK
		}
		return code
	}
}

func doRewrite(a []string) (func(r *ngx.Request) int, error) {
	re, err := regexp2.Compile(a[0], regexp2.None)
	if err != nil {
		return nil, err
	}
	flag := ""
	if len(a) > 2 {
		flag = a[2]
	}
	return func(r *ngx.Request) int {
		m, err := re.FindStringMatch(r.URI())
		if err != nil || m == nil {
			return ngx.Declined
		}
		r.SetCaptures(groups(m))
		to := expandVars(r, a[1])
		uri, args, has := strings.Cut(to, "?")
		old := r.Args()
		switch {
		case has && args == "":
			r.SetArgs("")
		case has && old != "":
			r.SetArgs(args + "&" + old)
		case has:
			r.SetArgs(args)
		}
		if flag == "redirect" || flag == "permanent" {
			if q := r.Args(); q != "" {
				uri += "?" + q
			}
			if strings.HasPrefix(uri, "/") && r.Main() == r {
				h, _ := r.Main().Header("host")
				uri = "http://" + h + uri
			}
			r.SetRespHeader("Location", uri, false)
			if flag == "permanent" {
				return 301
			}
			return 302
		}
		if flag == "break" {
			r.SetURI(uri)
			return ngx.Again
		}
		r.ChangeURI(uri)
		if flag == "last" {
			return ngx.Again
		}
		return ngx.Declined
	}, nil
}

// doIf makes a location of its own of the block, which a true condition
// switches to.
func (l *location) doIf(d *directive) error {
	inner := l.srv.c.newLoc(l, l.srv)
	for _, x := range d.block {
		if err := inner.directive(x); err != nil {
			return err
		}
	}
	set := inner.loc.Set
	inner.loc.Name = l.path
	inner.loc.Data = inner
	cond, err := condition(d.args)
	if err != nil {
		return err
	}
	outer := l
	l.loc.Set = append(l.loc.Set, ngx.Step{Go: func(r *ngx.Request) int {
		if !cond(r) {
			return ngx.Declined
		}
		o, in := &outer.loc, &inner.loc
		m := *in
		m.Set = nil
		if m.Content == nil {
			m.Content = o.Content
		}
		if m.Rewrite == nil {
			m.Rewrite = o.Rewrite
		}
		if m.Access == nil {
			m.Access = o.Access
		}
		if m.HeaderFilter == nil {
			m.HeaderFilter = o.HeaderFilter
		}
		if m.BodyFilter == nil {
			m.BodyFilter = o.BodyFilter
		}
		if m.Log == nil {
			m.Log = o.Log
		}
		if m.DefaultType == "" {
			m.DefaultType = o.DefaultType
		}
		if r.Location() != nil {
			r.SwitchLocation(&m)
		}
		for i := range set {
			if rc := set[i].Go(r); rc != ngx.Declined {
				return rc
			}
		}
		return ngx.Declined
	}})
	return nil
}

func condition(args []string) (func(r *ngx.Request) bool, error) {
	s := strings.Join(args, " ")
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "("), ")"))
	f := strings.SplitN(s, " ", 3)
	if len(f) == 1 {
		return func(r *ngx.Request) bool { v := expandVars(r, s); return v != "" && v != "0" }, nil
	}
	if len(f) < 3 {
		return nil, fmt.Errorf("condition %q", s)
	}
	left, op, right := f[0], f[1], strings.Trim(f[2], `"'`)
	switch op {
	case "=", "!=":
		return func(r *ngx.Request) bool { return (expandVars(r, left) == expandVars(r, right)) == (op == "=") }, nil
	case "~", "~*", "!~", "!~*":
		opt := regexp2.None
		if strings.HasSuffix(op, "*") {
			opt = regexp2.IgnoreCase
		}
		re, err := regexp2.Compile(right, opt)
		if err != nil {
			return nil, err
		}
		return func(r *ngx.Request) bool {
			m, err := re.FindStringMatch(expandVars(r, left))
			ok := err == nil && m != nil
			if ok {
				r.SetCaptures(groups(m))
			}
			return ok == !strings.HasPrefix(op, "!")
		}, nil
	}
	return nil, fmt.Errorf("condition %q", s)
}

// more are the directives of headers-more.
func (l *location) more(d *directive) {
	var lines []string
	for i := 0; i < len(d.args); i++ {
		if strings.HasPrefix(d.args[i], "-") {
			if d.args[i] != "-r" && d.args[i] != "-a" {
				i++
			}
			continue
		}
		lines = append(lines, d.args[i])
	}
	each := func(r *ngx.Request, f func(k, v string)) {
		for _, x := range lines {
			k, v, _ := strings.Cut(x, ":")
			f(strings.TrimSpace(k), strings.TrimSpace(expandVars(r, v)))
		}
	}
	switch d.name {
	case "more_set_headers":
		l.loc.HeaderFilter = append(l.loc.HeaderFilter, ngx.Step{Go: func(r *ngx.Request) int {
			each(r, func(k, v string) { r.SetRespHeader(k, v, false) })
			return ngx.OK
		}})
	case "more_clear_headers":
		l.loc.HeaderFilter = append(l.loc.HeaderFilter, ngx.Step{Go: func(r *ngx.Request) int {
			each(r, func(k, _ string) { r.ClearRespHeader(k) })
			return ngx.OK
		}})
	case "more_set_input_headers":
		l.loc.Rewrite = append([]ngx.Step{{Go: func(r *ngx.Request) int {
			each(r, func(k, v string) { r.SetHeader(k, v) })
			return ngx.Declined
		}}}, l.loc.Rewrite...)
	case "more_clear_input_headers":
		l.loc.Rewrite = append([]ngx.Step{{Go: func(r *ngx.Request) int {
			each(r, func(k, _ string) { r.SetHeader(k) })
			return ngx.Declined
		}}}, l.loc.Rewrite...)
	}
}
