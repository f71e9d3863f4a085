// Package ngx is OpenResty's ngx.* API over a fasthttp request.
//
//	phases     server_rewrite -> rewrite -> access -> precontent -> content -> log     engine.go, outcome.go
//	output     header_filter at the first byte, body_filter per chunk                 output.go, commit.go, stream.go
//	request    ngx.req.*, ngx.var, ngx.ctx, ngx.header                                reqapi.go, body.go, var.go, header.go
//	control    exit, exec, redirect; location.capture                                 control.go, capture.go
//	waiting    light threads, sleep, semaphores, timers                               sched.go, thread.go, wait.go, timer.go, kin.go
//	budgets    what a run may use, and what Go code keeps for it                      budget.go, run.go, memory.go, recount.go, watch.go
//	the rest   escaping, digests, time, log, constants                                escape.go, digest.go, timefn.go, log.go, api.go
//
// A VM is shared by many requests; each has a Seat in it: stack, globals,
// budget and the Request, used again and again. Sub-requests and timers have a
// Request of their own. Error texts are lua-nginx-module's, where its tests
// show them.
//
// # Light threads
//
// The entry of a request runs on the goroutine that called Serve; each light
// thread and timer is a goroutine. They hand one lock to each other, first
// come first served, so at any moment one of them runs Lua, and the order is
// the one in which nginx would have run them. Whatever waits gives the lock
// up: Block for calls of Go code, park and post for waits inside.
//
//	request    waits for its backend without the lock, and takes it when it is free
//	spawn      parent joins the queue, child takes the lock over
//	sleep      park; a Go timer posts the task
//	hog        who has had the lock for two looks goes to the end of the queue, and through the host's gate,
//	           which lets as many hogs run as there are processors
//	watch      who has had the lock for 20 ms without a look is told to have one
//	exit       ends the phase: the other threads are killed where they wait
//
// A thread that is killed while Go code waits for it is left behind: it ends
// by itself when the wait does, and touches nothing of the request any more.
//
// # Ending a script
//
// ngx.exit and its like unwind the Lua stack with vm.Thread.Abort, which no
// pcall sees; Request.outcome turns the reason into nginx's verdict numbers.
//
// # Concurrency
//
// What belongs to a VM or a Request may be touched only by the holder of the
// VM's lock. Host is shared and safe.
package ngx
