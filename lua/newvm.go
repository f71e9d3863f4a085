package lua

import (
	"errors"
	"io"
	"net"
	"path"
	"regexp"
	"strings"
	"time"

	"sluice/lua/cjson"
	"sluice/lua/ngx"
	"sluice/lua/regex"
	"sluice/lua/resty"
	"sluice/lua/shdict"
	"sluice/lua/socket"
	"sluice/lua/vm"
)

// newVM makes a VM of the bundle: libraries, modules, init scripts.
func (b *Bundle) newVM() (*ngx.VM, error) {
	r := b.rt
	s := vm.NewState(vm.Options{
		Stdout: r.cfg.Stdout, Now: r.cfg.Clock, Getenv: r.cfg.Getenv, Unsafe: r.cfg.Unsafe,
		PackagePath: b.packagePath(), ReadFile: b.readFile, OnLook: ngx.OnLook, OnRecount: ngx.OnRecount, Grant: ngx.Grant, NormalCoroutines: true,
	})
	v, n := ngx.Open(s, b.host, r.api)
	pkg := s.Globals().GetStr("package").AsTable()
	if r.cfg.LuaCPath != "" {
		pkg.SetStr("cpath", vm.String(r.cfg.LuaCPath))
	}
	regex.Install(n, regex.Config{Cache: r.regexs, MatchLimit: r.cfg.RegexMatchLimit, Log: func(t *vm.Thread, msg string) {
		q := ngx.RequestOf(t)
		b.host.Log(q, ngx.LevelErr, msg)
	}})
	shdict.Install(n, r.zones)
	socket.Install(n, sockHost{b.host}, r.pools)
	pre := pkg.GetStr("preload").AsTable()
	add := func(name string, open func(t *vm.Thread) vm.Value) {
		pre.SetStr(name, vm.NewFunc(name, func(t *vm.Thread) int {
			t.Push(open(t))
			return 1
		}))
	}
	add("cjson", func(t *vm.Thread) vm.Value { return cjson.Module(t, ngx.Null) })
	add("cjson.safe", func(t *vm.Thread) vm.Value { return cjson.SafeModule(t, ngx.Null) })
	for name, open := range resty.Modules() {
		add(name, open)
	}
	pkg.GetStr("loaded").AsTable().SetStr("resty.core", resty.Core())
	for _, name := range []string{"ngx.semaphore", "ngx.base64", "ngx.req", "ngx.resp", "ngx.process"} {
		add(name, func(*vm.Thread) vm.Value {
			val, _ := v.Lib(name)
			return val
		})
	}
	for _, m := range r.cfg.Modules {
		add(m.Name, func(*vm.Thread) vm.Value { return m.Open(v) })
	}
	for _, c := range b.inits {
		if err := v.RunInit(c, ngx.PhaseInit); err != nil {
			return nil, loadError(c.Name, err)
		}
	}
	v.Guard()
	return v, nil
}

func (b *Bundle) packagePath() string {
	if b.rt.cfg.LuaPath != "" {
		return b.rt.cfg.LuaPath
	}
	p := "lib/?.lua;?.lua;?/init.lua;lib/?/init.lua"
	for _, d := range b.rt.cfg.PackagePath {
		p += ";" + path.Join(d, "?.lua") + ";" + path.Join(d, "?/init.lua")
	}
	return p
}

// readFile serves require: the bundle's files by their relative names, real
// files only below the configured directories.
func (b *Bundle) readFile(name string) ([]byte, error) {
	clean := path.Clean(strings.TrimPrefix(name, "./"))
	if s, ok := b.files[clean]; ok {
		return []byte(s), nil
	}
	if b.rt.cfg.Unsafe {
		return readReal(name)
	}
	for _, d := range b.rt.cfg.PackagePath {
		if strings.HasPrefix(clean, path.Clean(d)+"/") {
			return readReal(clean)
		}
	}
	return nil, errors.New("no such file in the bundle")
}

// requireCall finds modules that a script requires by a constant name, at the
// start of a statement: the ones without which it cannot run.
var requireCall = regexp.MustCompile(`(?m)^\s*(?:local\s+[\w, ]+=\s*)?require\s*\(?\s*["']([\w.\-/]+)["']`)

// checkRequires loads the modules that a script requires at its top.
func (b *Bundle) checkRequires(v *ngx.VM, file string) error {
	src := b.files[file]
	for _, m := range requireCall.FindAllStringSubmatchIndex(src, -1) {
		name := src[m[2]:m[3]]
		line := strings.Count(src[:m[2]], "\n") + 1
		// The call stands in a chunk of the script's name at the script's line,
		// so that the message is in the script's own words.
		code := strings.Repeat("\n", line-1) + "require(" + quote(name) + ")"
		p, err := vm.Compile("@"+file, code)
		if err != nil {
			return &LoadError{File: file, Msg: err.Error()}
		}
		if err := v.RunInit(&ngx.Chunk{ID: -1, Name: file, Proto: p}, ngx.PhaseInit); err != nil {
			return loadError(file, err)
		}
	}
	return nil
}

func quote(s string) string { return `"` + s + `"` }

// sockHost lends the runtime to cosockets.
type sockHost struct{ h *ngx.Host }

func (s sockHost) Block(t *vm.Thread, f func()) {
	ngx.RequestOf(t).CountCall(t)
	ngx.Block(t, f)
}

func (s sockHost) Deadline(t *vm.Thread) time.Time { return ngx.RequestOf(t).Deadline() }

func (s sockHost) Log(t *vm.Thread, level int, msg string) {
	s.h.Log(ngx.RequestOf(t), level, msg)
}

func (s sockHost) Request(t *vm.Thread) any {
	if r := ngx.RequestOf(t); r.CanBlock() {
		return r
	}
	return nil
}

func (s sockHost) Phase(t *vm.Thread) string { return ngx.RequestOf(t).Phase().String() }

func (s sockHost) AtEnd(t *vm.Thread, f func()) (cancel func()) {
	return ngx.RequestOf(t).AtEnd(f)
}

func (s sockHost) RequestBody(t *vm.Thread) (io.Reader, net.Conn, error) {
	return ngx.RequestOf(t).TakeBody(t)
}

var _ socket.BodyHost = sockHost{}
