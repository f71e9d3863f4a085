package resty

import (
	"embed"
	"fmt"
	"sync"

	"sluice/lua/vm"
)

//go:embed src
var sources embed.FS

// inLua are the modules written in Lua, and their files.
var inLua = map[string]string{
	"resty.lock":             "src/lock.lua",
	"resty.lrucache":         "src/lrucache.lua",
	"resty.lrucache.pureffi": "src/lrucache.lua",
	"resty.limit.req":        "src/limit/req.lua",
	"resty.limit.conn":       "src/limit/conn.lua",
	"resty.limit.count":      "src/limit/count.lua",
	"resty.limit.traffic":    "src/limit/traffic.lua",
	"resty.upload":           "src/upload.lua",
	"ngx.re":                 "src/ngx_re.lua",
}

// protos are compiled once per process; they are immutable.
var protos = sync.OnceValue(func() map[string]*vm.Proto {
	out := make(map[string]*vm.Proto, len(inLua))
	for _, file := range inLua {
		src, err := sources.ReadFile(file)
		if err != nil {
			panic(fmt.Sprintf("resty: %v", err))
		}
		p, err := vm.Compile("@resty/"+file, string(src))
		if err != nil {
			panic(fmt.Sprintf("resty: %v", err))
		}
		out[file] = p
	}
	return out
})

// core are resty.core and its parts: what they speed up in OpenResty is
// native here.
var core = []string{"", ".base", ".base64", ".coroutine", ".ctx", ".exit", ".hash", ".misc", ".ndk", ".param",
	".phase", ".regex", ".request", ".response", ".shdict", ".socket", ".socket.tcp", ".time", ".uri", ".utils", ".var", ".worker"}

// Modules gives every module by the name a script requires it by; the
// function makes its value for one VM. The VM's ngx table must be a global
// by then.
func Modules() map[string]func(t *vm.Thread) vm.Value {
	m := map[string]func(t *vm.Thread) vm.Value{
		"resty.string": stringModule,
		"resty.random": randomModule,
		"resty.aes":    aesModule,
		"resty.sha":    func(*vm.Thread) vm.Value { return versioned(vm.NewTable(0, 1)) },
	}
	for name, file := range inLua {
		m[name] = func(t *vm.Thread) vm.Value { return load(t, name, file) }
	}
	for _, d := range digests {
		m["resty."+d.name] = d.module
	}
	for _, part := range core {
		m["resty.core"+part] = func(*vm.Thread) vm.Value { return Core() }
	}
	return m
}

// Core is resty.core, which a VM has loaded from the start.
func Core() vm.Value {
	tab := vm.NewTable(0, 1)
	tab.SetStr("version", vm.String("0.1.28"))
	return tab.Value()
}

// load runs a module's chunk.
func load(t *vm.Thread, name, file string) vm.Value {
	s := t.State()
	args := []vm.Value{vm.String(name)}
	if name == "resty.lock" {
		args = append(args, vm.NewFunc("guard", guard))
	}
	vals := t.MustCall(s.Load(protos()[file], s.Globals()), args...)
	if len(vals) == 0 {
		return vm.True
	}
	return vals[0]
}

func versioned(m *vm.Table) vm.Value {
	m.SetStr("_VERSION", vm.String("0.17"))
	return m.Value()
}
