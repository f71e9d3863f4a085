// Package lua runs handlers written for OpenResty inside the gateway.
//
//	rt := lua.NewRuntime(lua.Config{Modules: mods})
//	b, err := rt.Load(files, []lua.Script{{Path: "hello.lua", Phase: "content"}})
//	h, err := b.Handler(lua.Handler{Route: "hello", Content: "hello.lua"})
//	fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { h.Serve(ctx, nil) })
//
// # Parts
//
//	request -> Bound.Serve -> a seat in a VM of the bundle's pool -> phases (package ngx)
//	             |              |         |
//	             | budget       | stack,  | init scripts, modules, ngx.*, cjson, resty.*
//	                            | globals
//
// A Bundle is compiled once; its VMs share the compiled code. A few VMs, some
// for each processor, are shared by all requests: one request at a time runs in
// a VM, and while it waits for a backend the others of its VM run. So 512
// requests in flight touch the memory of eight VMs, not of 512. At most
// MaxRequests have a seat; the next one waits VMWait and then gets a 503.
//
// A script that runs for more than some 100 us at a stretch is interrupted,
// between two of its instructions, for the others of its VM, and no new
// requests are sent there: others are made instead, up to MaxVMs. So a script
// may rely on nobody changing a module's tables between two calls that wait, as
// in OpenResty, unless it calculates for long in between.
//
// # Isolation
//
// A handler's globals live in a table of its request's own; reading falls
// through to the VM's globals. The first write at a place is logged with file
// and line. Modules (require) are loaded once per VM and keep their state
// there: a module's counter counts what its VM served, not what the process
// served, and its tables are seen by all requests of the VM, as in a worker of
// OpenResty. What all VMs must share belongs in ngx.shared. A VM in which a
// budget ended a run, or a Go panic happened, takes no new requests and is
// thrown away when those in it have ended.
//
// require looks for NAME (dots as slashes) in the bundle as lib/NAME.lua,
// NAME.lua, NAME/init.lua, then in the directories of Config.PackagePath.
//
// The tables of the libraries (string, ngx, ...) are modules in this sense too:
// what a request changes in them, the VM's other requests see.
//
// init scripts run in each new VM; init_worker scripts run once per bundle, in
// a VM of their own that serves no requests, where their timers stay.
//
// # Budgets
//
// Each request has a Budget: instructions, wall time, memory, output, backend
// calls, sub-requests, timers. A breach ends that request with a 500 that says
// nothing, a log line with file:line and traceback, and a call of OnBreach;
// no pcall of the script sees it. When the answer has begun to leave, or an
// error ends the script behind its first output, the connection is closed in
// the middle, as nginx does: no client takes a part for the whole.
//
// Beside each run's own budget,
//
//   - all runs together hold at most TotalMemory, beyond a first megabyte each;
//   - no more hogs run at once than there are processors, in turns;
//   - timers that descend from one run wait while one of them hogs, and rest
//     after a breach;
//   - a VM whose modules hold more than four runs may is replaced.
//
// # What OpenResty has and we have not
//
// ffi, string.dump and bytecode, debug hooks; ngx.req.socket(true) (the
// connection is the server's; without true it reads the body, which is there
// when the handler starts); balancer_by_lua and ssl_*_by_lua; TLS client
// certificates on cosockets; ngx.on_abort; ndk; the debug lines that
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
