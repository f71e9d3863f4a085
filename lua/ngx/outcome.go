package ngx

import (
	"errors"

	"sluice/lua/vm"
)

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
	if told := errors.Is(err, errSpent); told || errors.As(err, &be) {
		if !told {
			r.breached(be)
		}
		r.spent = true
		r.takeBack()
		if !r.headerSent {
			return 500
		}
		return r.failed()
	}
	r.report(err, "lua entry thread aborted: runtime error: ")
	return r.failed()
}

// errSpent ends a request one of whose sub-requests went over the budget that
// they share; that has been told already.
var errSpent = errors.New("ngx: a sub-request used the budget up")

// failed is the verdict on a request whose script has failed. An answer that
// was begun is never ended as if it were whole.
func (r *Request) failed() int {
	switch {
	case len(r.subs) > 0: // nginx's page would stand behind their output
		return Error
	case !r.headerSent:
		return 500
	case r.isSub():
		r.noEOF, r.connClose = true, true
		return OK
	case r.eof, r.headerOnly: // it is whole
		r.connClose = true
		return OK
	}
	return Error
}

// takeBack forgets an answer of which nothing has left, so that an error page
// can take its place.
func (r *Request) takeBack() {
	if r.headerSent && !r.isSub() && !r.eof && !r.left() {
		r.headerSent, r.headerOnly, r.filterDead = false, false, false
		r.buf = r.buf[:0]
	}
}

// left reports whether some of the answer is on its way to the client.
func (r *Request) left() bool { return r.stream != nil && r.stream.started }

// abort ends the connection instead of the answer, as nginx does: what the
// client has got can be seen to be less than all.
func (r *Request) abort() {
	r.connClose = true
	if r.headerSent && (r.isSub() || r.headerOnly) {
		return
	}
	if r.left() {
		r.stream.broken = true
		return
	}
	r.drop = true
}

func (r *Request) breached(be *vm.BudgetError) {
	v := r.vm
	v.Dirty = true
	v.grace(r.run)
	v.host.log(r, LevelErr, "budget of "+be.Kind+" used up: "+be.Where+"\n"+be.Traceback)
	v.host.Breach(r, be.Kind, be.Where)
}

// report logs an error that ended a script.
func (r *Request) report(err error, prefix string) {
	var le *vm.Error
	if errors.As(err, &le) {
		msg := errorText(le)
		if le.Traceback != "" {
			r.vm.host.log(r, LevelErr, prefix+msg+"\n"+r.vm.wholeTrace(le))
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
		r.abort()
		r.closes = rc == 444
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
		r.buf, r.headerSent, r.eof, r.noEOF = r.buf[:0], true, true, true
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
		r.spent = r.phase != PhaseLog
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

func traceBody(s string) string {
	const head = "stack traceback:"
	if i := len(head); len(s) >= i && s[:i] == head {
		s = s[i:]
	}
	return s
}
