package ngx

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"sluice/lua/vm"
)

// turner is a connection that the server takes up anew for each of its requests: it counts them itself
// (gateway/epoll).
type turner interface {
	Serial() uint64
	Requests() uint64
}

// noValue is a variable that was set to nil.
const noValue = "\x00nil"

// varIndex is ngx.var.NAME.
func varIndex(t *vm.Thread) int {
	r := reqHere(t)
	k := t.Arg(2)
	if n, ok := k.AsNumber(); ok {
		i := int(n)
		if i > 0 && i < len(r.captures) {
			t.PushString(r.captures[i])
		} else {
			t.PushNil()
		}
		return 1
	}
	name, ok := k.AsString()
	if !ok {
		t.Errorf("bad variable name")
	}
	v, ok := r.Var(name)
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushString(v)
	return 1
}

// Var gives a variable's value; ok is false when it does not exist or is not
// found.
func (r *Request) Var(name string) (string, bool) {
	if v, ok := r.vars[name]; ok {
		return v, v != noValue
	}
	if r.params != nil {
		if v, ok := r.params.Get(name); ok {
			return strings.Clone(v), true
		}
	}
	if v, ok, known := r.builtin(name); known {
		return v, ok
	}
	if l := strings.ToLower(name); l != name {
		return r.Var(l)
	}
	return "", false
}

// SetVar sets a variable from Go, defining it when it does not exist.
func (r *Request) SetVar(name, value string) {
	name = strings.ToLower(name)
	if name == "args" {
		r.SetArgs(value)
		return
	}
	if r.vars == nil {
		r.vars = make(map[string]string)
	}
	r.vars[name] = value
}

// DefineVar makes a variable exist, empty unless it has a value.
func (r *Request) DefineVar(name string) {
	name = strings.ToLower(name)
	if _, ok := r.vars[name]; !ok && name != "args" {
		r.SetVar(name, "")
	}
}

// SetCaptures sets ngx.var[1] and so on; captures[0] is the whole match.
func (r *Request) SetCaptures(c []string) { r.captures = c }

// builtin variables; known tells that the name is one.
func (r *Request) builtin(name string) (val string, ok, known bool) {
	m := r.main
	found := func(s string) (string, bool, bool) { return s, true, true }
	switch name {
	case "uri", "document_uri":
		return found(r.URI())
	case "args", "query_string":
		a := r.Args()
		return a, a != "", true
	case "is_args":
		if r.Args() != "" {
			return found("?")
		}
		return found("")
	case "request_uri":
		return found(string(m.ctx.Request.Header.RequestURI()))
	case "request_method":
		return found(m.method)
	case "echo_request_method":
		return found(r.method)
	case "request":
		return found(r.requestLine())
	case "scheme":
		if m.ctx.IsTLS() {
			return found("https")
		}
		return found("http")
	case "https":
		if m.ctx.IsTLS() {
			return found("on")
		}
		return found("")
	case "host":
		if h := r.Host(); h != "" {
			return found(h)
		}
		return found(r.vm.host.ServerName)
	case "server_name":
		return found(r.vm.host.ServerName)
	case "hostname":
		h, _ := os.Hostname()
		return found(h)
	case "remote_addr":
		return found(hostOf(m.ctx.RemoteAddr()))
	case "remote_port":
		return found(portOf(m.ctx.RemoteAddr()))
	case "server_addr":
		return found(hostOf(m.ctx.LocalAddr()))
	case "server_port":
		return found(portOf(m.ctx.LocalAddr()))
	case "server_protocol":
		return found(r.protocol())
	case "status":
		if r.status == 0 {
			return found("000")
		}
		return found(fmt.Sprintf("%03d", r.status))
	case "request_time":
		return found(fmt.Sprintf("%.3f", r.vm.host.Now().Sub(m.start).Seconds()))
	case "request_id":
		return found(r.RequestID())
	case "request_body":
		if r.body.read && r.body.file == "" && r.body.data != "" {
			return found(r.body.data)
		}
		return "", false, true
	case "request_body_file":
		return r.body.file, r.body.file != "", true
	case "request_completion":
		return found("")
	case "request_length":
		return found(strconv.Itoa(len(r.requestLine()) + 2 + len(m.ctx.Request.Header.RawHeaders()) + len(m.ctx.Request.Body())))
	case "content_type":
		v, ok := r.Header("content-type")
		return v, ok, true
	case "content_length":
		v, ok := r.Header("content-length")
		return v, ok, true
	case "body_bytes_sent":
		return found(strconv.Itoa(r.sent + len(r.buf)))
	case "bytes_sent":
		return found(strconv.Itoa(r.sent + len(r.buf) + 150))
	case "document_root":
		return found(r.vm.host.Root)
	case "realpath_root":
		return found(r.vm.host.Root)
	case "request_filename":
		return found(r.vm.host.Root + r.URI())
	case "msec":
		n := r.vm.host.Now()
		return found(fmt.Sprintf("%d.%03d", n.Unix(), n.UnixMilli()%1000))
	case "time_local":
		return found(r.vm.host.Now().Local().Format("02/Jan/2006:15:04:05 -0700"))
	case "time_iso8601":
		return found(r.vm.host.Now().Local().Format(time.RFC3339))
	case "pid":
		return found(strconv.Itoa(os.Getpid()))
	case "nginx_version":
		return found(nginxVersion)
	case "connection":
		if c, ok := m.ctx.Conn().(turner); ok {
			return found(strconv.FormatUint(c.Serial(), 10))
		}
		return found(strconv.FormatUint(m.ctx.ConnID(), 10))
	case "connection_requests":
		if c, ok := m.ctx.Conn().(turner); ok {
			return found(strconv.FormatUint(c.Requests(), 10))
		}
		return found(strconv.FormatUint(m.ctx.ConnRequestNum(), 10))
	case "pipe":
		return found(".")
	case "remote_user":
		return r.basicUser()
	case "limit_rate":
		return found("0")
	case "binary_remote_addr":
		if a, ok := m.ctx.RemoteAddr().(*net.TCPAddr); ok {
			if ip4 := a.IP.To4(); ip4 != nil {
				return found(string(ip4))
			}
			return found(string(a.IP))
		}
		return found("")
	case "echo_request_body":
		return r.body.data, r.body.read && r.body.data != "", true
	case "echo_request_uri":
		return found(string(m.ctx.Request.Header.RequestURI()))
	}
	switch {
	case strings.HasPrefix(name, "arg_"):
		v, ok := queryArg(r.Args(), name[4:])
		return v, ok, true
	case strings.HasPrefix(name, "http_"):
		v, ok := r.headerVar(name[5:])
		return v, ok, true
	case strings.HasPrefix(name, "cookie_"):
		v, ok := r.cookie(name[7:])
		return v, ok, true
	case strings.HasPrefix(name, "sent_http_"):
		v, ok := r.sentHeader(name[10:])
		return v, ok, true
	}
	if len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
		if i, err := strconv.Atoi(name); err == nil {
			if i < len(r.captures) {
				return found(r.captures[i])
			}
			return "", false, true
		}
	}
	return "", false, false
}

func (r *Request) headerVar(name string) (string, bool) {
	joined := sameName(name, "cookie") || sameName(name, "x-forwarded-for")
	if !r.inKnown && !r.inPeeked && !joined && r.ctx != nil { // one header is no reason to copy them all
		r.inPeeked = true
		if raw := r.ctx.Request.Header.RawHeaders(); len(raw) > 0 {
			view := unsafe.String(unsafe.SliceData(raw), len(raw))
			for h, rest, ok := nextHeader(view); ok; h, rest, ok = nextHeader(rest) {
				if sameName(h.name, name) {
					return strings.Clone(h.value), true
				}
			}
			return "", false
		}
	}
	res, n := "", 0
	for _, h := range r.headers() {
		if !sameName(h.name, name) {
			continue
		}
		switch {
		case n == 0:
			res = h.value
		case sameName(name, "cookie"):
			res += "; " + h.value
		case sameName(name, "x-forwarded-for"):
			res += ", " + h.value
		}
		n++
	}
	return res, n > 0
}

// sameName compares names of headers and variables: case does not count, and
// _ is -.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if foldName(a[i]) != foldName(b[i]) {
			return false
		}
	}
	return true
}

func foldName(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

func (r *Request) sentHeader(name string) (string, bool) {
	want := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch want {
	case "connection":
		if r.connClose || r.main.ctx.Request.Header.ConnectionClose() {
			return "close", true
		}
		return "keep-alive", true
	case "transfer-encoding":
		if r.headerSent && r.clen < 0 {
			return "chunked", true
		}
		return "", false
	case "content-type", "content-length":
		return r.RespHeader(want)
	}
	res, n := "", 0
	for _, h := range r.out {
		if strings.EqualFold(h.name, want) {
			if n > 0 {
				res += ", "
			}
			res += h.value
			n++
		}
	}
	return res, n > 0
}

// queryArg finds an argument; nginx compares names without regard to case and
// decodes nothing.
func queryArg(args, name string) (string, bool) {
	for args != "" {
		pair := args
		if i := strings.IndexByte(args, '&'); i >= 0 {
			pair, args = args[:i], args[i+1:]
		} else {
			args = ""
		}
		if len(pair) > len(name) && pair[len(name)] == '=' && strings.EqualFold(pair[:len(name)], name) {
			return pair[len(name)+1:], true
		}
	}
	return "", false
}

func (r *Request) cookie(name string) (string, bool) {
	for _, h := range r.headers() {
		if !strings.EqualFold(h.name, "cookie") {
			continue
		}
		for part := range strings.SplitSeq(h.value, ";") {
			k, v, ok := strings.Cut(strings.TrimLeft(part, " \t"), "=")
			if ok && strings.EqualFold(k, name) {
				return v, true
			}
		}
	}
	return "", false
}

func (r *Request) basicUser() (string, bool, bool) {
	h, ok := r.Header("authorization")
	if !ok || len(h) < 6 || !strings.EqualFold(h[:6], "basic ") {
		return "", false, true
	}
	raw, ok := decodeBase64(strings.TrimSpace(h[6:]))
	if !ok {
		return "", false, true
	}
	u, _, _ := strings.Cut(raw, ":")
	return u, true, true
}

func hostOf(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP.String()
	}
	if a == nil || a.Network() == "unix" {
		return "unix:"
	}
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

func portOf(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok {
		return strconv.Itoa(t.Port)
	}
	return ""
}

// RequestID is 32 hexadecimal digits, the same for the whole request.
func (r *Request) RequestID() string {
	m := r.main
	if m.id == "" {
		// The server in front may have named the request already, for the client too.
		if m.ctx != nil {
			m.id = string(m.ctx.Response.Header.Peek("X-Request-Id"))
		}
		if m.id == "" {
			m.id = r.vm.host.NewID()
		}
	}
	return m.id
}

// varNewIndex is ngx.var.NAME = value.
func varNewIndex(t *vm.Thread) int {
	r := reqHere(t)
	name, ok := t.Arg(2).AsString()
	if !ok {
		t.Errorf("bad variable name")
	}
	v := t.Arg(3)
	val, isStr := v.AsString()
	if !isStr && !v.IsNil() {
		val = t.ToString(v)
	}
	lname := strings.ToLower(name)
	if _, defined := r.vars[lname]; defined {
		if v.IsNil() {
			val = noValue
		}
		r.vars[lname] = val
		return 0
	}
	switch lname {
	case "args":
		r.SetArgs(val)
		return 0
	case "limit_rate":
		r.SetVar("limit_rate", val)
		return 0
	case "uri", "document_uri", "query_string", "request_uri", "request_method", "request", "scheme", "host", "server_name",
		"hostname", "remote_addr", "remote_port", "server_addr", "server_port", "server_protocol", "status", "request_time",
		"request_id", "request_body", "content_type", "content_length", "body_bytes_sent", "bytes_sent", "document_root",
		"msec", "time_local", "time_iso8601", "pid", "nginx_version", "connection", "remote_user", "is_args", "https",
		"binary_remote_addr", "connection_requests", "request_filename", "realpath_root", "request_length", "pipe",
		"request_completion", "request_body_file":
		t.Errorf("variable \"%s\" not changeable", lname)
	}
	t.Errorf("variable \"%s\" not found for writing; maybe it is a built-in variable that is not changeable or you "+
		"forgot to use \"set $%s '';\" in the config file to define it first", lname, lname)
	return 0
}
