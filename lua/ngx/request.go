package ngx

import (
	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// Param is one path parameter.
type Param struct{ Name, Value string }

// Params are the path parameters of a route. Their strings may be views of
// the request's buffer: what a script takes is copied.
type Params []Param

// Request is one request as scripts see it.
type Request struct{ ctx *fasthttp.RequestCtx }

// Ctx is the request's fasthttp context; nil in init code and timers.
func (r *Request) Ctx() *fasthttp.RequestCtx { return r.ctx }

// CountCall counts a call to a backend; when the budget is used up it ends
// the run.
func (r *Request) CountCall(t *vm.Thread) {}

// VM is one Lua universe.
type VM struct{ State *vm.State }

// RequestOf is the request that t runs for.
func RequestOf(t *vm.Thread) *Request { panic("soon") }

// Block runs f while other light threads of the VM go on.
func Block(t *vm.Thread, f func()) { panic("soon") }

// BlockCancel is Block for waits that can be cut short: cancel is called from
// another goroutine when the light thread is killed or the request ends.
func BlockCancel(t *vm.Thread, cancel, f func()) { panic("soon") }
