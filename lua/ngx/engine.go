package ngx

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// verdicts beside nginx's own
const (
	rcJump = -1000 // look for a location again
	rcSent = -1001 // the answer is complete
)

type sigKind uint8

const (
	sigNone sigKind = iota
	sigExit
	sigExec
	sigJump
)

// signal is why a script stopped of its own will.
type signal struct {
	kind      sigKind
	code      int
	uri, args string
}

// errSignal unwinds a script; the request's signal says why.
var errSignal = errors.New("ngx: the script ended its phase")

// errDone unwinds a light thread whose request has ended.
var errDone = errors.New("ngx: the request has ended")

// Start is what a request from outside begins with.
type Start struct {
	Ctx    *fasthttp.RequestCtx
	Server Server
	Loc    *Location // nil means Server finds it
	Params Params
	Route  string
	Budget Budget
	Now    time.Time
}

// Serve runs one request from outside through all its phases and leaves the
// answer in s.Ctx. The VM must be free; it is free again afterwards, but light
// threads that were killed while they waited may still pass through it.
func (v *VM) Serve(s *Start) {
	r := &v.main
	v.mainRun = run{route: s.Route, budget: s.Budget}
	if s.Budget.Wall > 0 {
		v.mainRun.deadline = s.Now.Add(s.Budget.Wall)
	}
	r.begin(v, &v.mainRun, s)
	tk := &v.mainTask
	tk.vm, tk.req, tk.killed = v, r, nil
	if tk.wake == nil {
		tk.wake = make(chan struct{}, 1)
	}
	v.run = nil
	v.acquire(tk)
	r.handle()
	r.commit()
	v.lastUsed = r.Used()
	v.endMain(r)
	v.cur = &v.initTask
	v.run = nil
	v.release()
}

func (r *Request) begin(v *VM, rn *run, s *Start) {
	r.reset()
	r.vm, r.run, r.main = v, rn, r
	r.ctx, r.server, r.loc, r.params = s.Ctx, s.Server, s.Loc, s.Params
	r.start = s.Now
	r.clen = -1
	r.method = methodName(s.Ctx.Method())
	if r.method == "HEAD" {
		r.headerOnly = false
	}
}

// reset keeps the buffers.
func (r *Request) reset() {
	in, out, buf, lights, ef, next := r.in, r.out, r.buf, r.lights, r.endFuncs, r.next
	clear(in[:cap(in)])
	clear(out[:cap(out)])
	if cap(buf) > 64<<10 {
		buf = nil
	}
	*r = Request{in: in[:0], out: out[:0], buf: buf[:0], lights: lights[:0], endFuncs: ef[:0], stream: next}
}

// LastUsed is what the last request from outside used.
func (v *VM) LastUsed() Used { return v.lastUsed }

// endMain gives up what the request held.
func (v *VM) endMain(r *Request) {
	r.killLights()
	r.runEndFuncs()
	if v.dirtyEnv {
		v.cleanEnv()
	}
	if t := r.ctxTable; t != nil {
		r.ctxTable = nil
	}
}

// handle runs the phases until the answer is complete.
func (r *Request) handle() {
	for {
		rc := r.phases()
		if rc == rcJump {
			if r.jumps++; r.jumps > 10 {
				r.vm.host.log(r, LevelErr, fmt.Sprintf("rewrite or internal redirection cycle while processing %q", r.URI()))
				rc = 500
			} else {
				continue
			}
		}
		if r.finalize(rc) {
			if r.jumps++; r.jumps > 10 {
				r.finalize(500)
				break
			}
			continue
		}
		break
	}
	r.logPhase()
}

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

func (r *Request) phases() int {
	if !r.firstDone && r.server != nil {
		r.firstDone = true
		if rc := r.steps(r.server.First(), PhaseServerRewrite); rc != Declined {
			return rc
		}
		r.uriChanged = false
	}
	if r.loc == nil {
		r.loc = r.server.Find(r, r.lastNamed)
		r.lastNamed = ""
		if r.loc == nil || r.loc.Internal && !r.internal {
			r.loc = nil
			return 404
		}
	}
	if rc := r.steps(r.loc.Set, PhaseRewrite); rc != Declined {
		return rc
	}
	if !r.uriChanged {
		if rc := r.steps(r.loc.Rewrite, PhaseRewrite); rc != Declined {
			return rc
		}
	}
	loc := r.loc
	if r.uriChanged {
		r.uriChanged = false
		r.loc = nil
		return rcJump
	}
	if !r.isSub() {
		if rc := r.access(loc); rc != Declined {
			return rc
		}
	}
	if rc := r.steps(loc.Precontent, PhasePrecontent); rc != Declined {
		return rc
	}
	if loc.Content == nil {
		return 404
	}
	return r.step(loc.Content, PhaseContent)
}

func (r *Request) access(loc *Location) int {
	if !loc.SatisfyAny {
		return r.steps(loc.Access, PhaseAccess)
	}
	verdict, forbidden := Declined, false
	defer func() {
		if forbidden && verdict == 403 {
			r.vm.host.log(r, LevelErr, "access forbidden by rule")
		}
	}()
	for i := range loc.Access {
		switch rc := r.step(&loc.Access[i], PhaseAccess); rc {
		case OK:
			r.dropHeader("www-authenticate")
			verdict = Declined
			return Declined
		case Declined:
		case 401, 403:
			if verdict != 401 {
				verdict = rc
			}
			forbidden = rc == 403
		default:
			return rc
		}
		if r.headerSent {
			return rcSent
		}
	}
	return verdict
}

func (r *Request) isSub() bool { return r.parent != nil }

// steps runs a phase; Declined means go on with the next one.
func (r *Request) steps(ss []Step, p Phase) int {
	for i := range ss {
		rc := r.step(&ss[i], p)
		switch {
		case rc == Again: // the rest of these steps is not wanted
			return Declined
		case rc == Declined || rc == OK:
			if r.headerSent || r.held {
				return OK
			}
			if rc == OK && ss[i].Go != nil {
				return Declined
			}
		default:
			return rc
		}
	}
	return Declined
}

func (r *Request) step(s *Step, p Phase) int {
	r.phase = p
	if s.Go != nil {
		return s.Go(r)
	}
	if r.loc != nil && r.loc.NeedBody {
		r.ReadBody()
	}
	return r.script(s.Lua, p)
}

// script runs a chunk as the entry thread of a phase.
func (r *Request) script(c *Chunk, p Phase) int {
	v := r.vm
	r.entry = v.cur
	err := r.call(v.fn(c))
	if err == nil && len(r.lights) > 0 {
		r.drain()
	}
	if r.ended != nil {
		err, r.ended = r.ended, nil
		v.cur.killed = nil
	}
	r.killLights()
	r.entry = nil
	rc := r.outcome(err)
	if rc == OK && err == nil && p != PhaseContent && p != PhaseAccess {
		return Declined
	}
	return rc
}

// call runs fn on the main thread, or, when that is busy with the parent of a
// sub-request, on a thread of its own.
func (r *Request) call(fn vm.Value) error {
	v := r.vm
	if v.cur == &v.mainTask {
		_, err := v.State.Call(fn)
		return err
	}
	th := v.State.NewThread(fn)
	old := v.cur.thread
	v.cur.thread = th
	var err error
	for {
		var yielded bool
		_, yielded, err = th.Resume()
		if !yielded || err != nil {
			break
		}
		v.relax(v.cur)
		if v.cur.killed != nil {
			err = v.cur.killed
			break
		}
	}
	v.cur.thread = old
	return err
}

// outcome turns the end of a script into a verdict.
func (r *Request) outcome(err error) int {
	if err == nil {
		return OK
	}
	if errors.Is(err, errSignal) {
		s := r.signal
		r.signal = signal{}
		switch s.kind {
		case sigExec:
			if len(s.uri) > 0 && s.uri[0] == '@' {
				r.JumpNamed(s.uri)
			} else {
				r.Jump(s.uri, s.args)
			}
			return rcJump
		case sigJump:
			r.uriChanged = false
			r.loc = nil
			r.ctxTable = nil
			return rcJump
		}
		return r.exitCode(s.code)
	}
	if errors.Is(err, errKilled) || errors.Is(err, errDone) {
		return Error
	}
	var be *vm.BudgetError
	if errors.As(err, &be) {
		r.breached(be)
		return r.failed()
	}
	r.report(err, "lua entry thread aborted: runtime error: ")
	return r.failed()
}

func (r *Request) failed() int {
	if r.headerSent {
		r.connClose = true
		return OK
	}
	return 500
}

func (r *Request) breached(be *vm.BudgetError) {
	v := r.vm
	v.Dirty = true
	if v.run == r.run {
		v.switchRun(nil) // whatever still has to run for this request runs free: filters and log
		v.run = r.run
	}
	v.host.log(r, LevelErr, "budget of "+be.Kind+" used up: "+be.Where+be.Traceback)
	v.host.Breach(r, be.Kind, be.Where)
}

// report logs an error that ended a script.
func (r *Request) report(err error, prefix string) {
	var le *vm.Error
	if errors.As(err, &le) {
		msg := errorText(le)
		if le.Traceback != "" {
			r.vm.host.log(r, LevelErr, prefix+msg+"\nstack traceback:\ncoroutine 0:"+traceBody(le.Traceback))
		} else {
			r.vm.host.log(r, LevelErr, prefix+msg)
		}
		r.vm.host.Failed(r, r.phase.String(), msg, le.Traceback)
		return
	}
	r.vm.host.log(r, LevelErr, prefix+err.Error())
	r.vm.host.Failed(r, r.phase.String(), err.Error(), "")
}

// errorText is the message of a Lua error as nginx logs it.
func errorText(e *vm.Error) string {
	if s, ok := e.Value.ToStringValue(); ok {
		return s
	}
	if mt := e.Value.AsTable(); mt != nil && mt.Metatable() != nil && !mt.Metatable().GetStr("__tostring").IsNil() {
		return e.Error()
	}
	return "unknown reason"
}

// exitCode is what ngx.exit(code) makes of the request.
func (r *Request) exitCode(code int) int {
	if !r.headerSent && r.status == 0 && code >= 200 {
		r.status = code
	}
	if r.held && r.status != 0 && code != Error && code != 408 && code != 499 && code != 444 {
		r.unhold()
		if code >= 200 {
			return rcSent
		}
	}
	if code == Declined && r.phase == PhaseContent {
		return Error
	}
	if code == OK && r.phase == PhaseContent || code >= 200 && code < 300 && code != 204 {
		r.sendHeader(nil)
		return rcSent
	}
	if code == OK {
		if r.headerSent {
			return rcSent
		}
		return OK
	}
	return code
}

// finalize ends the answer; it reports whether an error page sent the request
// elsewhere.
func (r *Request) finalize(rc int) (again bool) {
	switch {
	case rc == Done:
	case rc == Error || rc == 444 || rc == 499:
		if !r.headerSent {
			r.drop = true
		}
		r.connClose = true
	case rc == OK, rc == Declined, rc == rcSent, rc >= 200 && rc < 300 && rc != 201 && rc != 204:
		r.unhold()
		if r.sendHeader(nil) {
			r.lastBuf(nil)
		}
	case rc >= 200:
		if r.headerSent {
			if rc == 408 {
				r.connClose = true
			}
			r.lastBuf(nil)
			return false
		}
		return r.special(rc)
	default:
		return r.special(500)
	}
	return false
}

// special answers with an error page.
func (r *Request) special(code int) (again bool) {
	r.phase = PhaseContent
	if !r.errPage && r.server != nil && code >= 300 {
		r.errPage = true
		r.status = code
		if r.server.ErrorPage(r, code) {
			return true
		}
	}
	r.status = code
	r.clen = -1
	r.held = false
	if r.isSub() { // its parent gets the status, and no page
		r.buf, r.headerSent, r.eof = r.buf[:0], true, true
		r.ctype, r.ctypeSet = "", true
		return false
	}
	r.errPageBody = true
	r.buf = r.buf[:0]
	r.ctype, r.ctypeSet = "", true
	body := ""
	if code >= 300 && code != 304 {
		r.ctype, body = r.vm.host.ErrorPage(code)
	}
	if !r.sendHeader(nil) {
		return false
	}
	if body != "" && !r.headerOnly {
		r.emit(nil, body)
	}
	r.lastBuf(nil)
	return false
}

func (r *Request) logPhase() {
	if r.loc == nil || r.isSub() || len(r.loc.Log) == 0 {
		return
	}
	r.eof = true
	for i := range r.loc.Log {
		s := &r.loc.Log[i]
		r.phase = PhaseLog
		if s.Go != nil {
			s.Go(r)
			continue
		}
		if err := r.callChunk(nil, s); err != nil {
			r.filterError(err, "failed to run log_by_lua*: ")
		}
	}
}

// filterError reports an error of a phase that cannot change the answer's fate
// any more; it reports whether the script had ended of its own will.
func (r *Request) filterError(err error, prefix string) (exited bool) {
	if errors.Is(err, errSignal) {
		return true
	}
	var be *vm.BudgetError
	if errors.As(err, &be) {
		r.breached(be)
		return false
	}
	var le *vm.Error
	if errors.As(err, &le) {
		msg := errorText(le)
		line := prefix + msg
		if le.Traceback != "" && msg != "unknown reason" {
			line += "\nstack traceback:" + traceBody(le.Traceback)
		}
		r.vm.host.log(r, LevelErr, line)
		r.vm.host.Failed(r, r.phase.String(), msg, le.Traceback)
		return false
	}
	r.report(err, prefix)
	return false
}

// callIn calls fn from wherever the request stands: inside thread t, or from
// the engine.
func (r *Request) callIn(t *vm.Thread, fn vm.Value) error {
	if t != nil {
		th := r.vm.State.NewThread(fn) // a stack of its own, as in OpenResty
		_, _, err := th.Resume()
		return err
	}
	return r.call(fn)
}

func traceBody(s string) string {
	const head = "stack traceback:"
	if i := len(head); len(s) >= i && s[:i] == head {
		s = s[i:]
	}
	return s
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
	vals, err := r.vm.State.Call(r.vm.fn(c))
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
	r.vm.cur = tk
	sub.serveSub(nil)
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
	return r.callIn(t, r.vm.fn(c))
}

// SetContentStep says that what follows is the content, made by Go code in an
// earlier phase.
func (r *Request) SetContentStep() { r.phase = PhaseContent }
