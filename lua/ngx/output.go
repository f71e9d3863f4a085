package ngx

import (
	"math"
	"strconv"

	"sluice/lua/vm"
)

// sendHeader runs the header filters once. It reports whether the answer may
// go on.
func (r *Request) sendHeader(t *vm.Thread) bool {
	if r.headerSent {
		return !r.filterDead
	}
	if r.filtering {
		return true
	}
	if r.errStatus != 0 {
		r.status, r.errStatus = r.errStatus, 0
	}
	if r.status == 0 {
		r.status = 200
	}
	if !r.errPage && !r.conditional() {
		return false
	}
	if r.loc != nil && len(r.loc.HeaderFilter) > 0 && !r.runHeaderFilters(t) {
		return false
	}
	r.headerSent = true
	if r.method == "HEAD" || r.status == 204 || r.status == 304 {
		r.headerOnly = true
	}
	return true
}

func (r *Request) runHeaderFilters(t *vm.Thread) bool {
	phase := r.phase
	r.filtering = true
	defer func() { r.phase, r.filtering = phase, false }()
	r.defaultType()
	for i := range r.loc.HeaderFilter {
		s := &r.loc.HeaderFilter[i]
		r.phase = PhaseHeaderFilter
		if s.Go != nil {
			s.Go(r)
			continue
		}
		r.signal = signal{}
		err := r.callChunk(t, s)
		sig := r.signal
		r.signal = signal{}
		if err != nil && !r.filterError(err, "failed to run header_filter_by_lua*: ") {
			r.headerSent, r.filterDead, r.drop = true, true, true
			return false
		}
		if sig.kind == sigExit {
			switch {
			case sig.code == Error:
				r.headerSent, r.filterDead, r.drop = true, true, true
				return false
			case sig.code != OK:
				r.replaceBy(sig.code)
				return false
			}
		}
	}
	return true
}

// replaceBy turns an answer whose header filter refused it into an error page.
func (r *Request) replaceBy(code int) {
	r.status, r.headerSent = code, true
	ct, body := "", ""
	if code >= 300 && code != 444 {
		ct, body = r.vm.host.ErrorPage(code)
	}
	r.ctype, r.ctypeSet, r.clen = ct, true, -1
	r.errPageBody = true
	r.buf = append(r.buf[:0], body...)
	r.filterDead = true
}

func (r *Request) defaultType() {
	if r.ctypeSet {
		return
	}
	r.ctype, r.ctypeSet = r.DefaultType(), true
}

// DefaultType is the Content-Type of answers that set none.
func (r *Request) DefaultType() string {
	if r.loc != nil && r.loc.NoDefaultType {
		return ""
	}
	if r.loc != nil && r.loc.DefaultType != "" {
		return r.loc.DefaultType
	}
	return r.vm.host.DefaultType
}

// emit adds to the body. It reports false when the answer has failed.
func (r *Request) emit(t *vm.Thread, s string) bool {
	if !r.sendHeader(t) {
		return false
	}
	if r.headerOnly || r.filterDead {
		return !r.filterDead
	}
	if r.loc != nil && len(r.loc.BodyFilter) > 0 {
		return r.runBodyFilters(t, s, false)
	}
	r.buf = append(r.buf, s...)
	r.countOutput(t, len(s))
	return true
}

// Write adds to the body from Go: what native content steps use.
func (r *Request) Write(s string) bool { return r.emit(nil, s) }

// SendHeader sends the header from Go.
func (r *Request) SendHeader() bool { return r.sendHeader(nil) }

// roomFor ends the run when n more bytes would be over its budget, before they are made.
func (r *Request) roomFor(t *vm.Thread, n int) {
	if r.run == nil {
		return
	}
	if b := r.run.budget.Output; b > 0 && r.run.output+int64(n) > b {
		breach(t, "output")
	}
}

func (r *Request) countOutput(t *vm.Thread, n int) {
	if r.run == nil {
		return
	}
	r.run.output += int64(n)
	if b := r.run.budget.Output; b > 0 && r.run.output > b && t != nil {
		breach(t, "output")
	}
}

// lastBuf ends the body.
func (r *Request) lastBuf(t *vm.Thread) {
	if r.eof {
		return
	}
	r.eof = true
	if r.loc != nil && len(r.loc.BodyFilter) > 0 && !r.filterDead && !r.headerOnly {
		r.runBodyFilters(t, "", true)
		r.noEOF = !r.filterDead // a filter took the end back
	}
}

// filterArg is ngx.arg in a body filter.
type filterArg struct {
	chunk vm.Value
	eof   vm.Value
	set   bool
}

func (r *Request) runBodyFilters(t *vm.Thread, chunk string, eof bool) bool {
	if r.inFilter.set { // output made by a body filter itself is an error caught before
		return false
	}
	phase := r.phase
	defer func() { r.phase, r.inFilter = phase, filterArg{} }()
	for i := range r.loc.BodyFilter {
		s := &r.loc.BodyFilter[i]
		r.phase = PhaseBodyFilter
		if s.Go != nil {
			continue
		}
		r.inFilter = filterArg{chunk: vm.String(chunk), eof: vm.Bool(eof), set: true}
		sig := r.signal
		err := r.callChunk(t, s)
		r.signal = sig
		if err != nil {
			r.filterError(err, "failed to run body_filter_by_lua*: ")
			r.filterDead, r.connClose = true, true
			if r.sent == 0 && len(r.buf) == 0 {
				r.drop = true
			}
			return false
		}
		chunk = chunkText(r.inFilter.chunk)
		eof = r.inFilter.eof.Truthy()
	}
	r.buf = append(r.buf, chunk...)
	r.countOutput(t, len(chunk))
	if eof {
		r.filterDead = true
	}
	return true
}

// chunkText is the body chunk that a filter left in ngx.arg[1].
func chunkText(v vm.Value) string {
	s, _ := v.ToStringValue()
	return s
}

// apiPrint is ngx.print, apiSay is ngx.say.
func apiPrint(t *vm.Thread) int { return echo(t, false) }
func apiSay(t *vm.Thread) int   { return echo(t, true) }

func pushFail(t *vm.Thread, msg string) int {
	t.PushNil()
	t.PushString(msg)
	return 2
}

func echo(t *vm.Thread, newline bool) int {
	r := need(t, phasesRun)
	if r.headerOnly {
		return pushFail(t, "header only")
	}
	if r.eof {
		return pushFail(t, "seen eof")
	}
	// The plain case writes straight into the body.
	hold := r.holds()
	if hold || r.loc == nil || len(r.loc.BodyFilter) == 0 {
		n := len(r.buf)
		r.roomFor(t, sizeArgs(t))
		buf := appendArgs(t, r.buf)
		if !hold && !r.sendHeader(t) {
			return pushFail(t, "nginx output filter error")
		}
		if r.headerOnly {
			t.Push(vmOne)
			return 1
		}
		r.buf = buf
		if newline {
			r.buf = append(r.buf, '\n')
		}
		r.countOutput(t, len(r.buf)-n)
		t.Push(vmOne)
		return 1
	}
	r.roomFor(t, sizeArgs(t))
	scratch := appendArgs(t, r.vm.scratch[:0])
	if newline {
		scratch = append(scratch, '\n')
	}
	if cap(scratch) < 64<<10 {
		r.vm.scratch = scratch
	}
	if len(scratch) == 0 {
		if !r.sendHeader(t) {
			return pushFail(t, "nginx output filter error")
		}
	} else if !r.emit(t, string(scratch)) {
		return pushFail(t, "nginx output filter error")
	}
	t.Push(vmOne)
	return 1
}

var vmOne = vm.Int(1)

// sizeArgs checks the arguments of ngx.say and tells about how long they are.
func sizeArgs(t *vm.Thread) (n int) {
	for i := 1; i <= t.NArgs(); i++ {
		v := t.Arg(i)
		switch v.Type() {
		case vm.TypeString:
			s, _ := v.AsString()
			n += len(s)
		case vm.TypeTable:
			size, msg := sizeArray(t, v.AsTable(), 0)
			if msg != "" {
				t.ArgError(i, msg)
			}
			n += size
		case vm.TypeNumber, vm.TypeNil, vm.TypeBoolean, vm.TypeLightUserdata:
		default:
			t.ArgError(i, "string, number, boolean, nil, ngx.null, or array table expected, but got "+v.Type().String())
		}
	}
	return n
}

// appendArgs renders arguments as ngx.say does, after sizeArgs.
func appendArgs(t *vm.Thread, b []byte) []byte {
	for i := 1; i <= t.NArgs(); i++ {
		v := t.Arg(i)
		switch v.Type() {
		case vm.TypeString:
			s, _ := v.AsString()
			b = append(b, s...)
		case vm.TypeNumber:
			b = appendNumber(b, v)
		case vm.TypeNil:
			b = append(b, "nil"...)
		case vm.TypeBoolean:
			b = strconv.AppendBool(b, v.Truthy())
		case vm.TypeTable:
			b = appendTable(b, v.AsTable())
		case vm.TypeLightUserdata:
			if v.AsLight() == nil || vm.RawEqual(v, Null) {
				b = append(b, "null"...)
			}
		}
	}
	return b
}

func appendNumber(b []byte, v vm.Value) []byte {
	f, _ := v.AsNumber()
	if f == math.Trunc(f) && math.Abs(f) < 1e15 { // -0 is 0
		return strconv.AppendInt(b, int64(f), 10)
	}
	s, _ := v.ToStringValue()
	return append(b, s...)
}

// arrayMax is the largest index of an array-like table; ok is false when it
// has other keys.
func arrayMax(t *vm.Table) (n int, ok bool) {
	k := vm.Nil
	for {
		key, _, more, err := t.Next(k)
		if err != nil || !more {
			return n, true
		}
		k = key
		f, isNum := key.AsNumber()
		if !isNum || f != math.Floor(f) || f < 1 {
			return 0, false
		}
		n = max(n, int(f))
	}
}

// sizeArray tells how long a table will be when it is written, or what is
// wrong with it. A table may be in it many times over, so each visit counts
// against the budget.
func sizeArray(t *vm.Thread, tb *vm.Table, depth int) (size int, problem string) {
	if depth > 100 {
		return 0, "table nested too deeply"
	}
	n, ok := arrayMax(tb)
	if !ok {
		return 0, "non-array table found"
	}
	if n > tb.Len()+1<<20 {
		return 0, "array table too sparse"
	}
	t.State().ChargeInstructions(t, 8+int64(n)>>2)
	for i := 1; i <= n; i++ {
		v := tb.GetInt(i)
		switch v.Type() {
		case vm.TypeTable:
			inner, problem := sizeArray(t, v.AsTable(), depth+1)
			if problem != "" {
				return 0, problem
			}
			size += inner
		case vm.TypeString:
			s, _ := v.AsString()
			size += len(s)
		case vm.TypeNumber, vm.TypeNil, vm.TypeBoolean:
			size += 4
		case vm.TypeLightUserdata:
			if !vm.RawEqual(v, Null) {
				return 0, "bad data type userdata found"
			}
			size += len("null")
		default:
			return 0, "bad data type " + v.Type().String() + " found"
		}
	}
	return size, ""
}

func appendTable(b []byte, tb *vm.Table) []byte {
	n, _ := arrayMax(tb)
	for i := 1; i <= n; i++ {
		v := tb.GetInt(i)
		switch v.Type() {
		case vm.TypeString:
			s, _ := v.AsString()
			b = append(b, s...)
		case vm.TypeNumber:
			b = appendNumber(b, v)
		case vm.TypeNil:
			b = append(b, "nil"...)
		case vm.TypeBoolean:
			b = strconv.AppendBool(b, v.Truthy())
		case vm.TypeTable:
			b = appendTable(b, v.AsTable())
		case vm.TypeLightUserdata:
			b = append(b, "null"...)
		}
	}
	return b
}

func apiSendHeaders(t *vm.Thread) int {
	r := need(t, phasesRun)
	if r.headerSent {
		t.Push(vmOne)
		return 1
	}
	if !r.sendHeader(t) {
		return pushFail(t, "nginx output filter error")
	}
	t.Push(vmOne)
	return 1
}

func apiEOF(t *vm.Thread) int {
	if t.NArgs() != 0 {
		t.Errorf("no argument is expected")
	}
	r := need(t, phasesRun)
	if r.eof {
		return pushFail(t, "seen eof")
	}
	if !r.sendHeader(t) {
		return pushFail(t, "nginx output filter error")
	}
	r.lastBuf(t)
	r.push(t, true)
	t.Push(vmOne)
	return 1
}

func apiFlush(t *vm.Thread) int {
	n := t.NArgs()
	if n > 1 {
		t.Errorf("attempt to pass %d arguments, but accepted 0 or 1", n)
	}
	wait := false
	if n == 1 {
		if t.Arg(1).Type() != vm.TypeBoolean {
			t.TypeError(1, "boolean")
		}
		wait = t.Arg(1).Truthy()
	}
	r := need(t, phasesRun)
	if r.headerOnly {
		return pushFail(t, "header only")
	}
	if r.eof {
		return pushFail(t, "seen eof")
	}
	if !r.headerSent && !r.held {
		return pushFail(t, "nothing to flush")
	}
	if r.held {
		r.vm.host.debug(r, "lua http 1.0 buffering makes ngx.flush() a no-op")
		return pushFail(t, "buffering")
	}
	r.push(t, false)
	if wait {
		r.vm.relax(r.vm.cur)
	}
	t.Push(vmOne)
	return 1
}

// holds reports whether output is held back until the end: an HTTP/1.0 client
// cannot read chunks, so it gets the length first.
func (r *Request) holds() bool {
	if r.held {
		return true
	}
	if r.headerSent || !r.ctxIs10() || r.vm.host.StreamHTTP10 {
		return false
	}
	r.held = true
	if r.status == 0 {
		r.status = 200
	}
	r.vm.host.debug(r, "lua buffering output bufs for the HTTP 1.0 request")
	return true
}

// unhold sends what was held back.
func (r *Request) unhold() {
	if !r.held {
		return
	}
	r.held = false
	body := string(r.buf)
	r.buf = r.buf[:0]
	if r.clen < 0 {
		r.clen = int64(len(body))
	}
	if r.sendHeader(nil) && body != "" {
		r.emit(nil, body)
	}
}

func (r *Request) ctxIs10() bool {
	return r.main.ctx != nil && !r.main.ctx.Request.Header.IsHTTP11()
}

func (h *Host) debug(r *Request, msg string) {
	if h.Debug {
		h.log(r, LevelDebug, msg)
	}
}
