package ngx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sluice/lua/vm"
)

// The methods that ngx.req.set_method knows, by their bit.
var methodBits = map[int]string{
	0x0002: "GET", 0x0004: "HEAD", 0x0008: "POST", 0x0010: "PUT", 0x0020: "DELETE", 0x0040: "MKCOL",
	0x0080: "COPY", 0x0100: "MOVE", 0x0200: "OPTIONS", 0x0400: "PROPFIND", 0x0800: "PROPPATCH",
	0x1000: "LOCK", 0x2000: "UNLOCK", 0x4000: "PATCH", 0x8000: "TRACE",
}

func reqGetMethod(t *vm.Thread) int {
	r := reqHere(t)
	t.PushString(r.method)
	return 1
}

func reqSetMethod(t *vm.Thread) int {
	r := reqHere(t)
	f, ok := t.Arg(1).AsNumber()
	if !ok {
		t.Errorf("bad method number")
	}
	m, ok := methodBits[int(f)]
	if !ok {
		s, _ := t.Arg(1).ToStringValue()
		t.Errorf("unsupported HTTP method: %s", s)
	}
	r.method = m
	return 0
}

func reqStartTime(t *vm.Thread) int {
	r := reqHere(t)
	t.PushNumber(float64(r.main.start.UnixMilli()) / 1000)
	return 1
}

func reqHTTPVersion(t *vm.Thread) int {
	r := need(t, phasesReq)
	switch r.protocol() {
	case "HTTP/1.1":
		t.PushNumber(1.1)
	case "HTTP/1.0":
		t.PushNumber(1.0)
	case "HTTP/0.9":
		t.PushNumber(0.9)
	default:
		t.PushNil()
	}
	return 1
}

func (r *Request) protocol() string {
	if r.main == nil || r.main.ctx == nil {
		return ""
	}
	return string(r.main.ctx.Request.Header.Protocol())
}

// requestLine is the first line as it came.
func (r *Request) requestLine() string {
	h := &r.main.ctx.Request.Header
	return r.main.firstMethod() + " " + string(h.RequestURI()) + " " + string(h.Protocol())
}

func (r *Request) firstMethod() string { return string(r.ctx.Request.Header.Method()) }

func reqRawHeader(t *vm.Thread) int {
	r := need(t, phasesReq)
	var b strings.Builder
	if !t.ToBool(1) {
		b.WriteString(r.requestLine())
		b.WriteString("\r\n")
	}
	raw := r.main.ctx.Request.Header.RawHeaders()
	b.Write(raw)
	if !strings.HasSuffix(b.String(), "\r\n\r\n") && len(raw) > 2 && string(raw[len(raw)-2:]) == "\r\n" {
		b.WriteString("\r\n")
	}
	t.PushString(b.String())
	return 1
}

func reqGetHeaders(t *vm.Thread) int {
	r := reqHere(t)
	limit := maxArg(t, 1, 100)
	raw := t.Arg(2).Truthy()
	hs := r.headers()
	n := len(hs)
	cut := limit > 0 && n > limit
	if cut {
		r.vm.host.debug(r, fmt.Sprintf("lua exceeding request header limit %d > %d", n, limit))
		n = limit
	}
	tb := vm.NewTable(0, n)
	for _, h := range hs[:n] {
		name := h.name
		if !raw {
			name = lower(name)
		}
		addField(tb, name, vm.String(h.value))
	}
	if !raw {
		tb.SetMetatable(r.vm.headersMeta())
	}
	t.PushTable(tb)
	if cut {
		t.PushString("truncated")
		return 2
	}
	return 1
}

// lower keeps the names that most requests carry ready.
func lower(s string) string {
	switch s {
	case "Host":
		return "host"
	case "User-Agent":
		return "user-agent"
	case "Accept":
		return "accept"
	case "Connection":
		return "connection"
	case "Content-Type":
		return "content-type"
	case "Content-Length":
		return "content-length"
	case "Authorization":
		return "authorization"
	case "Cookie":
		return "cookie"
	case "Accept-Encoding":
		return "accept-encoding"
	}
	return strings.ToLower(s)
}

func reqSetHeader(t *vm.Thread) int {
	setReqHeader(t, "name", t.Arg(1), t.Arg(2), true)
	return 0
}

func reqClearHeader(t *vm.Thread) int {
	setReqHeader(t, "name", t.Arg(1), vm.Nil, true)
	return 0
}

// reqAddHeader is ngx.req.add_header of the ngx.req module.
func reqAddHeader(t *vm.Thread) int {
	setReqHeader(t, "name", t.Arg(1), t.Arg(2), false)
	return 0
}

func setReqHeader(t *vm.Thread, what string, nameV, v vm.Value, override bool) {
	r := reqHere(t)
	if nameV.IsNil() {
		t.Errorf("bad '%s' argument: string expected, got nil", what)
	}
	name, ok := nameV.AsString()
	if !ok {
		name = t.ToString(nameV)
	}
	var vals []string
	if tb := v.AsTable(); tb != nil {
		if tb.Len() == 0 && !override {
			t.Errorf("bad 'value' argument: non-empty table expected")
		}
		for i := 1; i <= tb.Len(); i++ {
			vals = append(vals, t.ToString(tb.GetInt(i)))
		}
	} else if !v.IsNil() {
		s, ok := v.AsString()
		if !ok {
			s = t.ToString(v)
		}
		vals = []string{s}
	} else if !override {
		t.Errorf("bad 'value' argument: string or table expected, got nil")
	}
	key := escapeHeaderName(name)
	for i := range vals {
		vals[i] = cleanValue(vals[i])
	}
	if override && len(vals) == 1 && vals[0] == "" {
		vals = nil // nginx clears it
	}
	if !override {
		for _, h := range r.headers() {
			if strings.EqualFold(h.name, key) {
				vals = append([]string{h.value}, vals...)
			}
		}
	}
	if strings.EqualFold(key, "content-length") && len(vals) > 0 {
		n, err := strconv.ParseInt(vals[0], 10, 64)
		if err != nil && vals[0] != "" {
			t.Errorf("failed to set header")
		}
		if err == nil && n >= 0 && !r.body.read {
			r.bodyCut = n
		}
	}
	r.SetHeader(key, vals...)
}

func escapeHeaderName(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		bad := mustEscape(&escHeaderName, c)
		if bad && b == nil {
			b = append(make([]byte, 0, len(s)+8), s[:i]...)
		}
		switch {
		case bad:
			b = append(b, '%', hexUpper[c>>4], hexUpper[c&15])
		case b != nil:
			b = append(b, c)
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}

func reqGetURIArgs(t *vm.Thread) int {
	r := reqHere(t)
	limit := maxArg(t, 1, 100)
	tb := t.Arg(2).AsTable()
	if tb == nil {
		tb = vm.NewTable(0, 4)
	} else {
		tb.Clear()
	}
	cut := decodeArgs(r.Args(), limit, tb)
	t.PushTable(tb)
	if cut {
		r.vm.host.debug(r, fmt.Sprintf("lua hit query args limit %d", limit))
		t.PushString("truncated")
		return 2
	}
	return 1
}

func reqSetURIArgs(t *vm.Thread) int {
	if t.NArgs() != 1 {
		t.Errorf("expecting 1 argument but seen %d", t.NArgs())
	}
	r := need(t, phasesReq)
	switch v := t.Arg(1); v.Type() {
	case vm.TypeString, vm.TypeNumber:
		s, _ := v.ToStringValue()
		if _, bad := unsafeByte(s); bad || strings.IndexByte(s, ' ') >= 0 {
			var b []byte
			for i := 0; i < len(s); i++ {
				if c := s[i]; c <= ' ' || c == 0x7f {
					b = append(b, '%', hexUpper[c>>4], hexUpper[c&15])
				} else {
					b = append(b, c)
				}
			}
			s = string(b)
		}
		r.SetArgs(s)
	case vm.TypeTable:
		r.SetArgs(encodeArgs(t, v.AsTable()))
	default:
		t.ArgError(1, "string, number, or table expected, but got "+v.Type().String())
	}
	return 0
}

func reqSetURI(t *vm.Thread) int {
	n := t.NArgs()
	if n < 1 || n > 3 {
		t.Errorf("expecting 1, 2 or 3 arguments but seen %d", n)
	}
	r := need(t, phasesReq)
	uri := t.CheckString(1)
	if uri == "" {
		t.Errorf("attempt to use zero-length uri")
	}
	flag := func(i int) bool {
		if n < i {
			return false
		}
		if t.Arg(i).Type() != vm.TypeBoolean {
			t.TypeError(i, "boolean")
		}
		return t.Arg(i).Truthy()
	}
	if !flag(3) {
		if b, bad := unsafeByte(uri); bad {
			t.Errorf("unsafe byte \"0x%02x\" in uri \"%s\" (maybe you want to set the 'binary' argument?)", b, escapeLog(uri))
		}
	}
	jump := flag(2)
	if jump {
		if r.phase&(PhaseRewrite|PhaseServerRewrite) == 0 {
			t.Errorf("API disabled in the context of %s", r.phase.context())
		}
		if len(r.subs) > 0 {
			t.Errorf("attempt to abort with pending subrequests")
		}
	}
	r.uri = uri
	if jump {
		r.uriChanged = true
		r.stop(t, signal{kind: sigJump})
	}
	return 0
}

func reqIsInternal(t *vm.Thread) int {
	r := reqHere(t)
	t.PushBool(r.internal)
	return 1
}

// status and friends are fields of ngx that its metatable serves.

func getStatus(t *vm.Thread) int {
	r := reqHere(t)
	s := r.status
	if s == 0 && r.phase == PhaseHeaderFilter {
		s = 200
	}
	t.Push(vm.Int(s))
	return 1
}

func setStatus(t *vm.Thread, v vm.Value) {
	r := reqHere(t)
	f, ok := v.ToNumber()
	if !ok || f != f || math.Abs(f) > 1e9 {
		t.Errorf("bad argument #3 to 'set_status' (number expected, got %s)", v.Type())
	}
	if r.headerSent {
		r.vm.host.log(r, LevelErr, "attempt to set ngx.status after sending out response headers")
		return
	}
	r.status = int(f)
	r.reason = ""
}

func reqSetStatusReason(t *vm.Thread) int {
	r := reqHere(t)
	code := t.CheckInt(1)
	reason := t.OptString(2, "")
	if r.headerSent {
		r.vm.host.log(r, LevelErr, "attempt to set ngx.status after sending out response headers")
		return 0
	}
	r.status, r.reason = code, reason
	return 0
}
