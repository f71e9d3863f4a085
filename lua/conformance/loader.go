package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"

	"sluice/lua"
	"sluice/lua/ngx"
	"sluice/lua/vm"
)

// config is an nginx.conf as our runtime serves it.
type config struct {
	s               *site
	all             []*directive // every directive, for settings that are global here
	files           map[string]string
	names           map[string]string // path -> chunk name
	entries         []lua.Script
	dicts           map[string]int
	luaPath         string
	luaCPath        string
	maxPending      int
	maxRunning      int
	matchLimit      int
	logLevel        int
	keepUnderscores bool
	servers         []*server
	vars            map[string]bool
	envs            map[string]string
	b               *lua.Bundle
	logf            func(r *ngx.Request, level int, msg string)
	dyn             int
	codeCacheOff    bool
	mu              sync.Mutex // guards dyn and caches of file
}

// server is one server block: it finds locations for the engine.
type server struct {
	c      *config
	listen []string
	names  []string
	first  []ngx.Step
	locs   []*location
	named  map[string]*location
	inh    *location // what locations inherit
}

type location struct {
	mod   string // "", "=", "^~", "~", "~*", "if"
	path  string
	re    *regexp2.Regexp
	loc   ngx.Location
	srv   *server
	up    *location
	errs  []errPage
	subs  []*location
	d     map[string]*directive // settings
	has   map[string]bool
	steps []func(r *ngx.Request) int // of the echo module
}

type errPage struct {
	codes []int
	over  int // -1: keep; 0: the new answer's
	uri   string
}

func load(s *site) (*config, error) {
	ds, err := parseConf(s.conf)
	if err != nil {
		return nil, err
	}
	c := &config{s: s, files: map[string]string{}, names: map[string]string{}, dicts: map[string]int{}, vars: map[string]bool{},
		envs: map[string]string{}, logLevel: ngx.LevelDebug}
	c.collect(ds)
	c.settings()
	for _, d := range ds {
		if d.name == "http" {
			if err := c.http(d.block); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *config) collect(ds []*directive) {
	for _, d := range ds {
		c.all = append(c.all, d)
		c.collect(d.block)
		switch d.name {
		case "set", "set_by_lua", "set_by_lua_block", "set_by_lua_file":
			if len(d.args) > 0 {
				c.vars[strings.TrimPrefix(d.args[0], "$")] = true
			}
		}
	}
}

func (c *config) find(name string) *directive {
	for _, d := range c.all {
		if d.name == name && len(d.args) > 0 {
			return d
		}
	}
	return nil
}

func (c *config) num(name string, def int) int {
	if d := c.find(name); d != nil {
		if n, err := strconv.Atoi(d.args[0]); err == nil {
			return n
		}
	}
	return def
}

func (c *config) flag(name string, def bool) bool {
	if d := c.find(name); d != nil {
		return d.args[0] == "on"
	}
	return def
}

func duration(s string) time.Duration {
	unit := time.Second
	switch {
	case strings.HasSuffix(s, "ms"):
		s, unit = s[:len(s)-2], time.Millisecond
	case strings.HasSuffix(s, "s"):
		s = s[:len(s)-1]
	case strings.HasSuffix(s, "m"):
		s, unit = s[:len(s)-1], time.Minute
	case strings.HasSuffix(s, "h"):
		s, unit = s[:len(s)-1], time.Hour
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return time.Duration(f * float64(unit))
}

func (c *config) dur(name string) time.Duration {
	if d := c.find(name); d != nil {
		return duration(d.args[0])
	}
	return 0
}

func size(s string) int {
	mul := 1
	switch {
	case strings.HasSuffix(strings.ToLower(s), "k"):
		s, mul = s[:len(s)-1], 1<<10
	case strings.HasSuffix(strings.ToLower(s), "m"):
		s, mul = s[:len(s)-1], 1<<20
	}
	n, _ := strconv.Atoi(s)
	return n * mul
}

const defaultPath = "./?.lua;/usr/share/luajit-2.1.0-beta3/?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua;" +
	"/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
const defaultCPath = "./?.so;/usr/local/lib/lua/5.1/?.so;/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;/usr/local/lib/lua/5.1/loadall.so"

func (c *config) settings() {
	for _, d := range c.all {
		if d.name == "lua_shared_dict" && len(d.args) > 1 {
			c.dicts[d.args[0]] = size(d.args[1])
		}
		if d.name == "env" && len(d.args) > 0 {
			if k, v, ok := strings.Cut(d.args[0], "="); ok {
				c.envs[k] = v
			} else if v, ok := os.LookupEnv(k); ok {
				c.envs[k] = v
			}
		}
		if d.name == "error_log" && len(d.args) > 1 {
			for i, n := range levelNames {
				if n == d.args[1] {
					c.logLevel = i
				}
			}
		}
	}
	path := func(name, def string) string {
		d := c.find(name)
		if d == nil {
			return def
		}
		p := strings.ReplaceAll(d.args[0], "$prefix", c.s.dir+"/")
		p = strings.ReplaceAll(p, "${prefix}", c.s.dir+"/")
		return strings.ReplaceAll(p, ";;", ";"+def+";")
	}
	c.luaPath = path("lua_package_path", defaultPath)
	c.luaCPath = path("lua_package_cpath", defaultCPath)
	c.maxPending = c.num("lua_max_pending_timers", 1024)
	c.maxRunning = c.num("lua_max_running_timers", 256)
	c.matchLimit = c.num("lua_regex_match_limit", 0)
	c.keepUnderscores = !c.flag("lua_transform_underscores_in_response_headers", true)
	c.codeCacheOff = !c.flag("lua_code_cache", true)
}

func (c *config) getenv(name string) (string, bool) {
	if v, ok := c.envs[name]; ok {
		return v, true
	}
	if name == "TZ" {
		return os.LookupEnv(name)
	}
	return "", false
}

func (c *config) chunkName(path string) string {
	if n, ok := c.names[path]; ok {
		return n
	}
	return "@" + path
}

// inline registers code that stands in the configuration.
func (c *config) inline(name string, line int, code string) string {
	chunk := fmt.Sprintf("%s(nginx.conf:%d)", name, line)
	path := chunk
	for n := 2; c.files[path] != ""; n++ {
		path = fmt.Sprintf("%s#%d", chunk, n)
	}
	c.files[path] = code
	c.names[path] = "=" + chunk
	return path
}

func (c *config) abs(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return filepath.Join(c.s.dir, p)
}

func (c *config) http(ds []*directive) error {
	base := c.newLoc(nil, &server{c: c})
	for _, d := range ds { // what servers inherit comes first, wherever it stands
		if d.name != "server" && !strings.HasPrefix(d.name, "init") {
			if err := base.directive(d); err != nil {
				return err
			}
		}
	}
	for _, d := range ds {
		switch {
		case d.name == "init_by_lua" || d.name == "init_by_lua_block" || d.name == "init_by_lua_file",
			strings.HasPrefix(d.name, "init_worker_by_lua"):
			phase := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(d.name, "_block"), "_file"), "_by_lua")
			path := ""
			switch {
			case d.isBlk:
				path = c.inline(phase+"_by_lua", d.line, d.lua)
			case strings.HasSuffix(d.name, "_file"):
				path = c.abs(d.args[0])
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				c.files[path] = string(b)
			default:
				path = c.inline(phase+"_by_lua", d.line, d.args[0])
			}
			c.entries = append(c.entries, lua.Script{Path: path, Phase: phase})
		case d.name == "server":
			if err := c.server(d, base); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *config) newLoc(up *location, srv *server) *location {
	return &location{up: up, srv: srv, d: map[string]*directive{}, has: map[string]bool{}, loc: ngx.Location{}}
}

func (c *config) server(d *directive, base *location) error {
	srv := &server{c: c, named: map[string]*location{}}
	srv.inh = c.newLoc(base, srv)
	srv.inh.loc = inherit(&base.loc)
	c.servers = append(c.servers, srv)
	for _, x := range d.block {
		switch x.name {
		case "listen":
			srv.listen = append(srv.listen, x.args[0])
		case "server_name":
			srv.names = append(srv.names, x.args...)
		case "location":
		default:
			if err := srv.inh.directive(x); err != nil {
				return err
			}
		}
	}
	if len(srv.first) == 0 {
		srv.first = base.srv.first
	}
	srv.first = append(srv.first, srv.inh.loc.Set...)
	srv.inh.loc.Set = nil
	for _, x := range d.block {
		if x.name == "location" {
			if err := srv.location(x, srv.inh, &srv.locs); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit is what a location takes over from the level above.
func inherit(up *ngx.Location) ngx.Location {
	return ngx.Location{Rewrite: up.Rewrite, Access: up.Access, Precontent: up.Precontent, HeaderFilter: up.HeaderFilter,
		BodyFilter: up.BodyFilter, Log: up.Log, DefaultType: up.DefaultType, NeedBody: up.NeedBody, SatisfyAny: up.SatisfyAny,
		NoDefaultType: up.NoDefaultType, ModifiedBefore: up.ModifiedBefore, BodyInFile: up.BodyInFile}
}

func (srv *server) location(d *directive, up *location, into *[]*location) error {
	l := srv.c.newLoc(up, srv)
	l.loc = inherit(&up.loc)
	l.path = d.args[len(d.args)-1]
	if len(d.args) > 1 {
		l.mod = d.args[0]
	}
	switch {
	case l.mod == "" && strings.HasPrefix(l.path, "=") && len(l.path) > 1:
		l.mod, l.path = "=", l.path[1:]
	case l.mod == "" && strings.HasPrefix(l.path, "~*"):
		l.mod, l.path = "~*", l.path[2:]
	case l.mod == "" && strings.HasPrefix(l.path, "~"):
		l.mod, l.path = "~", l.path[1:]
	}
	if l.mod == "~" || l.mod == "~*" {
		opt := regexp2.None
		if l.mod == "~*" {
			opt = regexp2.IgnoreCase
		}
		re, err := regexp2.Compile(l.path, opt)
		if err != nil {
			return err
		}
		l.re = re
	}
	l.loc.Name = l.path
	l.loc.Data = l
	for _, x := range d.block {
		if x.name == "location" {
			if err := srv.location(x, l, &l.subs); err != nil {
				return err
			}
			continue
		}
		if err := l.directive(x); err != nil {
			return err
		}
	}
	if l.loc.Content == nil {
		l.loc.Content = &ngx.Step{Go: l.static}
	}
	if strings.HasPrefix(l.path, "@") {
		srv.named[l.path] = l
		return nil
	}
	*into = append(*into, l)
	return nil
}

// setting looks a simple directive up, here and above.
func (l *location) setting(name string) *directive {
	for x := l; x != nil; x = x.up {
		if d := x.d[name]; d != nil {
			return d
		}
	}
	return nil
}

func (c *config) bind(b *lua.Bundle, logf func(r *ngx.Request, level int, msg string)) {
	c.b, c.logf = b, logf
}

// script registers a script of the configuration; one that does not compile
// fails its requests, not the server.
func (c *config) script(path string) func(r *ngx.Request) (*ngx.Chunk, int) {
	if _, err := vm.Compile(c.chunkName(path), c.files[path]); err != nil {
		inline := strings.HasPrefix(c.chunkName(path), "=")
		delete(c.files, path)
		kind := "external Lua file \"" + path + "\""
		if inline {
			kind = "inlined Lua code"
		}
		return func(r *ngx.Request) (*ngx.Chunk, int) {
			c.logf(r, ngx.LevelErr, "failed to load "+kind+": "+err.Error())
			return nil, 500
		}
	}
	c.entries = append(c.entries, lua.Script{Path: path, Phase: "use"})
	return func(*ngx.Request) (*ngx.Chunk, int) { return c.b.Chunk(path), 0 }
}

// file is a script in a file, read when it is first asked for.
func (c *config) file(arg string) func(r *ngx.Request) (*ngx.Chunk, int) {
	cache := map[string]*ngx.Chunk{}
	return func(r *ngx.Request) (*ngx.Chunk, int) {
		path := c.abs(expandVars(r, arg))
		c.mu.Lock()
		defer c.mu.Unlock()
		if ch := cache[path]; ch != nil && !c.codeCacheOff {
			return ch, 0
		}
		b, err := os.ReadFile(path)
		if err != nil {
			c.logf(r, ngx.LevelErr, fmt.Sprintf("failed to load external Lua file %q: cannot open %s: No such file or directory", path, path))
			if os.IsNotExist(err) {
				return nil, 404
			}
			return nil, 503
		}
		p, err := vm.Compile("@"+path, string(b))
		if err != nil {
			c.logf(r, ngx.LevelErr, fmt.Sprintf("failed to load external Lua file %q: %s", path, err))
			return nil, 500
		}
		c.dyn++
		cache[path] = &ngx.Chunk{ID: 10000 + c.dyn, Name: path, Proto: p}
		return cache[path], 0
	}
}
