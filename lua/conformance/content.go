package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sluice/lua/ngx"
)

// echo adds a directive of the echo module to the content of a location.
func (l *location) echo(d *directive) {
	var f func(r *ngx.Request) int
	a := d.args
	switch d.name {
	case "echo", "echo_before_body", "echo_after_body":
		nl := "\n"
		for len(a) > 0 && (a[0] == "-n" || a[0] == "--") {
			if a[0] == "-n" {
				nl = ""
			}
			a = a[1:]
		}
		f = func(r *ngx.Request) int {
			parts := make([]string, len(a))
			for i := range a {
				parts[i] = expandVars(r, a[i])
			}
			r.Write(strings.Join(parts, " ") + nl)
			return ngx.OK
		}
	case "echo_duplicate":
		n, _ := strconv.Atoi(a[0])
		f = func(r *ngx.Request) int { r.Write(strings.Repeat(expandVars(r, a[1]), n)); return ngx.OK }
	case "echo_status":
		n, _ := strconv.Atoi(a[0])
		f = func(r *ngx.Request) int { r.SetStatus(n); return ngx.OK }
	case "echo_sleep", "echo_blocking_sleep":
		f = func(r *ngx.Request) int { r.Sleep(duration(expandVars(r, a[0]))); return ngx.OK }
	case "echo_flush", "echo_end", "echo_reset_timer", "echo_abort_parent":
		f = func(*ngx.Request) int { return ngx.OK }
	case "echo_read_request_body":
		f = func(r *ngx.Request) int { r.ReadBody(); return ngx.OK }
	case "echo_request_body":
		f = func(r *ngx.Request) int {
			if b := r.Body(); b != "" {
				r.Write(b)
			}
			return ngx.OK
		}
	case "echo_exec":
		f = func(r *ngx.Request) int {
			u := expandVars(r, a[0])
			if strings.HasPrefix(u, "@") {
				r.JumpNamed(u)
			} else {
				u, q, _ := strings.Cut(u, "?")
				if len(a) > 1 {
					q = expandVars(r, a[1])
				}
				r.Jump(u, q)
			}
			return ngx.JumpVerdict
		}
	case "echo_location", "echo_location_async", "echo_subrequest", "echo_subrequest_async":
		f = func(r *ngx.Request) int {
			m, x := "GET", a
			if strings.Contains(d.name, "subrequest") {
				m, x = a[0], a[1:]
			}
			u, q, _ := strings.Cut(expandVars(r, x[0]), "?")
			if len(x) > 1 && !strings.HasPrefix(x[1], "-") {
				q = expandVars(r, x[1])
			}
			body := ""
			for i := 1; i+1 < len(x); i++ {
				switch x[i] {
				case "-q":
					q = expandVars(r, x[i+1])
				case "-b":
					body = expandVars(r, x[i+1])
				}
			}
			r.Write(r.Subrequest(m, u, q, body))
			return ngx.OK
		}
	default:
		return
	}
	switch d.name {
	case "echo_before_body", "echo_after_body":
		return
	}
	l.steps = append(l.steps, f)
	steps := &l.steps
	l.loc.Content = &ngx.Step{Go: func(r *ngx.Request) int {
		for _, f := range *steps {
			if rc := f(r); rc != ngx.OK {
				return rc
			}
		}
		return ngx.OK
	}}
}

// static serves a file below root.
func (l *location) static(r *ngx.Request) int {
	root := l.srv.c.s.dir + "/html"
	if d := l.setting("root"); d != nil {
		root = l.srv.c.abs(expandVars(r, d.args[0]))
	}
	uri := r.URI()
	p := filepath.Join(root, uri)
	if d := l.d["alias"]; d != nil {
		p = filepath.Join(l.srv.c.abs(d.args[0]), strings.TrimPrefix(uri, l.path))
	}
	if r.Method() != "GET" && r.Method() != "HEAD" {
		if st, err := os.Stat(p); err == nil && !st.IsDir() || r.Method() == "POST" {
			return 405
		}
	}
	if strings.HasSuffix(uri, "/") {
		for _, n := range []string{"index.html", "index.htm"} {
			if st, err := os.Stat(filepath.Join(p, n)); err == nil && !st.IsDir() {
				r.Jump(uri+n, r.Args())
				return ngx.JumpVerdict
			}
		}
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			l.srv.c.logf(r, ngx.LevelErr, fmt.Sprintf("directory index of %q is forbidden", p+"/"))
			return 403
		}
	}
	st, err := os.Stat(p)
	if err != nil {
		l.srv.c.logf(r, ngx.LevelErr, fmt.Sprintf("open() %q failed (2: No such file or directory)", p))
		return 404
	}
	if st.IsDir() {
		r.SetRespHeader("Location", "http://localhost"+uri+"/", false)
		return 301
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return 403
	}
	r.SetStatus(200)
	r.SetRespHeader("Last-Modified", st.ModTime().UTC().Format(http.TimeFormat), false)
	if d := l.setting("etag"); d == nil || d.args[0] != "off" {
		r.SetRespHeader("ETag", fmt.Sprintf("\"%x-%x\"", st.ModTime().Unix(), st.Size()), false)
	}
	r.SetRespHeader("Content-Length", strconv.Itoa(len(b)), false)
	r.SetRespHeader("Accept-Ranges", "bytes", false)
	r.Write(string(b))
	return ngx.OK
}

func (l *location) tryFiles(a []string) {
	l.loc.Precontent = append([]ngx.Step{{Go: func(r *ngx.Request) int {
		root := l.srv.c.s.dir + "/html"
		for _, x := range a[:len(a)-1] {
			u := expandVars(r, x)
			if st, err := os.Stat(filepath.Join(root, u)); err == nil && st.IsDir() == strings.HasSuffix(u, "/") {
				r.SetURI(u)
				return ngx.Declined
			}
		}
		last := expandVars(r, a[len(a)-1])
		switch {
		case strings.HasPrefix(last, "="):
			n, _ := strconv.Atoi(last[1:])
			return n
		case strings.HasPrefix(last, "@"):
			r.JumpNamed(last)
		default:
			u, q, _ := strings.Cut(last, "?")
			r.Jump(u, q)
		}
		return ngx.JumpVerdict
	}}}, l.loc.Precontent...)
}
