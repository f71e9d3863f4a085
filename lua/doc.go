// Package lua runs handlers written for OpenResty inside the gateway.
//
//	rt := lua.NewRuntime(lua.Config{Modules: mods})
//	b, err := rt.Load(files, []lua.Script{{Path: "hello.lua", Phase: "content"}})
//	h, err := b.Handler(lua.Handler{Route: "hello", Content: "hello.lua"})
//	fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { h.Serve(ctx, nil) })
//
// # Parts
//
//	request -> Bound.Serve -> a VM of the bundle's pool -> phases (package ngx)
//	             |                  |
//	             | budget           | init scripts, modules, ngx.*, cjson, resty.*
//
// A Bundle is compiled once; its VMs share the compiled code. A VM serves one
// request at a time, from the first phase to the last, waits for backends
// included. So the number of VMs bounds the scripts that run at once: MaxVMs,
// and beyond it a request waits VMWait at most and then gets a 503.
//
// # Isolation
//
// A handler's globals live in a table that is emptied when the request ends;
// reading falls through to the VM's own globals. The first write at a place
// is logged with file and line. Modules (require) are loaded once per VM and
// keep their state there: a module's counter counts what its VM served, not
// what the process served. What all VMs must share belongs in ngx.shared.
// A VM in which a budget ended a run, or a Go panic happened, is thrown away.
//
// require looks for NAME (dots as slashes) in the bundle as lib/NAME.lua,
// NAME.lua, NAME/init.lua, then in the directories of Config.PackagePath.
//
// init scripts run in each new VM; init_worker scripts run once per bundle, in
// a VM of their own that serves no requests, where their timers stay.
//
// # Budgets
//
// Each request has a Budget: instructions, wall time, memory, output, backend
// calls, sub-requests, timers. A breach ends that request with a 500 that says
// nothing, a log line with file:line and traceback, and a call of OnBreach;
// no pcall of the script sees it.
//
// # What OpenResty has and we have not
//
// ffi, string.dump and bytecode, debug hooks; ngx.req.socket (the body has been
// read when the handler starts); balancer_by_lua and ssl_*_by_lua; UDP and TLS
// client certificates on cosockets; ngx.on_abort; ndk; the debug lines that
// nginx itself writes about its buffers, sockets and threads. fasthttp reads
// requests more strictly than nginx: HTTP/0.9, methods in odd letters and bare
// line feeds are refused before a script sees them.
//
// # Concurrency
//
// Runtime, Bundle and Bound may be used by all goroutines. A VM and all Lua
// values belong to whoever holds the VM: Go modules must not keep them beyond
// a call, and blocking work goes through Block.
package lua
