package ngx

import (
	"errors"
	"fmt"

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

func (r *Request) begin(v *VM, rn *run, s *Start) {
	r.reset()
	r.vm, r.run, r.main = v, rn, r
	r.ctx, r.server, r.loc, r.params = s.Ctx, s.Server, s.Loc, s.Params
	r.start = s.Now
	r.clen, r.bodyCut = -1, -1
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
	err := r.call(r.fn(c))
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

// call runs fn on the seat's thread, or, when that is busy with the parent of
// a sub-request, on a thread of its own.
func (r *Request) call(fn vm.Value) error {
	v := r.vm
	if s := v.cur.seat; s != nil {
		_, err := s.thread.CallRaw(fn)
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
