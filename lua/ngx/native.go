package ngx

import (
	"strings"
	"time"

	"sluice/lua/vm"
)

// What steps written in Go may do with a request.

// Jump makes the request start again at uri, as an internal redirect does.
func (r *Request) Jump(uri, args string) {
	r.uri, r.args, r.argsKnown = uri, args, true
	r.loc, r.internal = nil, true
	r.ctxTable = nil
	r.uriChanged = false
	r.firstDone = false
	r.lastNamed = ""
}

// JumpNamed goes to a named location; uri and arguments stay.
func (r *Request) JumpNamed(name string) {
	r.loc, r.internal = nil, true
	r.ctxTable = nil
	r.uriChanged = false
	r.lastNamed = name
}

// SwitchLocation goes on in another location, as a true "if" does.
func (r *Request) SwitchLocation(l *Location) { r.loc = l }

// ChangeURI is what a rewrite directive does: after the rewrite phase a
// location is looked for again.
func (r *Request) ChangeURI(uri string) { r.uri, r.uriChanged, r.internal = uri, true, true }

// KeepStatus true makes the status that is set now the answer's, whatever the
// location that an error page leads to says.
func (r *Request) KeepStatus(keep bool) {
	r.errStatus = 0
	if keep {
		r.errStatus = r.status
	}
}

// Script runs a chunk as a step of phase p does.
func (r *Request) Script(c *Chunk, p Phase) int {
	r.phase = p
	return r.script(c, p)
}

// EvalSet runs a set_by_lua chunk. The verdict is Declined when all is well.
func (r *Request) EvalSet(c *Chunk, args []string) (string, int) {
	phase := r.phase
	r.phase, r.setArgs = PhaseSet, args
	vals, err := r.main.seat.thread.CallRaw(r.fn(c))
	r.setArgs = nil
	if err != nil {
		r.filterError(err, "failed to run set_by_lua*: ")
		r.phase = phase
		return "", 500
	}
	r.phase = phase
	if len(vals) == 0 {
		return "", Declined
	}
	switch v := vals[0]; v.Type() {
	case vm.TypeNil:
		return "", Declined
	case vm.TypeBoolean:
		if v.Truthy() {
			return "true", Declined
		}
		return "false", Declined
	default:
		s, ok := v.ToStringValue()
		if !ok {
			return "", Declined
		}
		return s, Declined
	}
}

// RequestLine is the first line as it came.
func (r *Request) RequestLine() string { return r.requestLine() }

// Subrequest runs a sub-request from Go and gives its body.
func (r *Request) Subrequest(method, uri, args, body string) string {
	sub := &Request{vm: r.vm, run: r.run, main: r.main, parent: r, ctx: r.ctx, server: r.server,
		uri: uri, args: args, argsKnown: true, internal: true, clen: -1, start: r.start, method: method,
		firstDone: true, subDepth: r.subDepth + 1, inKnown: true}
	sub.in = append([]header(nil), r.headers()...)
	sub.body = reqBody{data: body, set: true, read: true}
	old := r.vm.cur
	tk := newTask(r.vm, sub)
	old.child = tk
	r.startSub(tk)
	r.vm.cur = tk
	sub.serveSub(nil)
	r.endSub(tk)
	old.child = nil
	r.vm.enter(old)
	return string(sub.buf)
}

// Sleep pauses from Go.
func (r *Request) Sleep(d time.Duration) { r.vm.pause(nil, d) }

// ClearRespHeader removes a header as more_clear_headers does.
func (r *Request) ClearRespHeader(name string) {
	if strings.EqualFold(name, "content-type") {
		r.ctype, r.ctypeSet = "", true
		return
	}
	if strings.EqualFold(name, "date") {
		r.noDate = true
		return
	}
	r.DelRespHeader(name)
}

// Exit ends the request with a status from Go code that runs as a step.
func (r *Request) BodyRead() bool { return r.body.read }

func (r *Request) callChunk(t *vm.Thread, s *Step) error {
	c := s.chunk(r)
	if c == nil {
		return nil
	}
	return r.callIn(t, r.fn(c))
}

// SetContentStep says that what follows is the content, made by Go code in an
// earlier phase.
func (r *Request) SetContentStep() { r.phase = PhaseContent }
