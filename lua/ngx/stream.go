package ngx

import (
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// stream is how a script's output leaves before the script has ended. fasthttp
// writes an answer only when its handler has returned, so a handler that
// flushes runs on a goroutine of its own, with a request of its own, and the
// fasthttp handler returns at the first flush with the rest as a body stream.
type stream struct {
	ready   chan struct{} // closed when the header is final
	started bool
	size    int64 // of the body; -1 when nobody knows
	pr      *io.PipeReader
	pw      *io.PipeWriter
	dead    bool // nothing more can be sent
	broken  bool // the body ends before its end
	closed  bool // ready is closed and the answer was complete by then
}

// errBroken makes the server close a connection in the middle of an answer.
var errBroken = errors.New("ngx: the script failed in the middle of its answer")

// ServeStream is Serve for handlers that flush. done is called, perhaps after
// ServeStream has returned, when the request has ended.
func (seat *Seat) ServeStream(done func()) {
	s := &seat.Start
	own := new(fasthttp.RequestCtx)
	own.Init2(s.Ctx.Conn(), nil, false)
	s.Ctx.Request.CopyTo(&own.Request)
	s.Ctx.Response.Header.CopyTo(&own.Response.Header)
	ps := make(Params, len(s.Params))
	for i, p := range s.Params {
		ps[i] = Param{string([]byte(p.Name)), string([]byte(p.Value))}
	}
	s.Ctx.VisitUserValuesAll(func(k, val any) { own.SetUserValue(k, val) })
	st := &stream{ready: make(chan struct{})}
	real := s.Ctx
	go func() {
		s.Ctx, s.Params = own, ps
		seat.req.next = st
		seat.Serve()
		switch {
		case st.broken:
			_ = st.pw.CloseWithError(errBroken)
		case st.started:
			_ = st.pw.Close()
		case !st.closed:
			close(st.ready)
		}
		done()
	}()
	<-st.ready
	if !st.started {
		own.Response.CopyTo(&real.Response)
		if own.Response.IsBodyStream() {
			real.Response.SetBodyStream(own.Response.BodyStream(), -1)
		}
	} else {
		own.Response.Header.CopyTo(&real.Response.Header)
		real.Response.SkipBody = own.Response.SkipBody
	}
	if own.Hijacked() {
		real.HijackSetNoResponse(true)
		real.Hijack(dropConn)
	}
	if st.started && !real.Request.Header.IsHTTP11() {
		// An HTTP/1.0 client reads no chunks: the body ends with the connection.
		h := &real.Response.Header
		h.SetContentLength(-2)
		h.SetConnectionClose()
		head := append([]byte(nil), h.Header()...)
		real.HijackSetNoResponse(true)
		real.Hijack(func(c net.Conn) {
			if _, err := c.Write(head); err == nil {
				_, _ = io.Copy(c, st.pr)
			}
			_ = st.pr.Close()
		})
		return
	}
	if st.started {
		real.Response.SetBodyStream(st.pr, int(st.size))
	}
}

// push sends what is in the buffer to the client, when the request streams.
func (r *Request) push(t *vm.Thread, last bool) {
	st := r.stream
	if st == nil || r.isSub() || st.dead {
		return
	}
	if !st.started {
		if last { // complete already: no need for a stream
			r.commitAll()
			st.dead, st.closed = true, true
			close(st.ready)
			return
		}
		st.started = true
		st.pr, st.pw = io.Pipe()
		st.size = r.clen
		body := r.buf
		r.buf = nil
		r.commitAll()
		r.buf = body
		close(st.ready)
	}
	b := r.buf
	r.sent += len(b)
	r.buf = nil
	write := func() {
		if len(b) > 0 {
			if _, err := st.pw.Write(b); err != nil {
				st.dead = true
			}
		}
		switch {
		case last && st.broken:
			_ = st.pw.CloseWithError(errBroken)
		case last:
			_ = st.pw.Close()
		}
	}
	if t != nil {
		Block(t, write)
	} else {
		write()
	}
}
