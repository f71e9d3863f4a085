package ngx

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/vm"
)

// Param is one path parameter.
type Param struct{ Name, Value string }

// Params are the path parameters of a route. Their strings may be views of
// the request's buffer: what a script takes is copied.
type Params []Param

// Get gives the value of a parameter.
func (p Params) Get(name string) (string, bool) {
	for i := range p {
		if p[i].Name == name {
			return p[i].Value, true
		}
	}
	return "", false
}

type header struct{ name, value string }

// Request is one request as scripts see it. It belongs to its VM: only the
// goroutine that runs the script may use it, and only until the request ends.
type Request struct {
	vm     *VM
	run    *run
	seat   *Seat // of a request from outside
	ctx    *fasthttp.RequestCtx
	main   *Request // itself for a request from outside; nil in init code and timers
	parent *Request // for sub-requests
	server Server
	loc    *Location
	params Params
	phase  Phase

	entry      *task
	lights     []*task
	subs       []*task // sub-requests under way
	entryWaits bool
	ended      error // set when a light thread ended the request
	signal     signal
	endFuncs   []func()

	method     string
	uri        string // decoded path; "" means not yet taken from ctx
	args       string
	argsKnown  bool
	uriChanged bool
	internal   bool
	jumps      int
	firstDone  bool
	lastNamed  string
	in         []header
	inKnown    bool
	inPeeked   bool // one of in was asked for, before it was known
	hostVar    string
	body       reqBody
	start      time.Time
	id         string

	status      int
	out         []header
	ctype       string
	ctypeSet    bool
	clen        int64 // -1: not set
	headerSent  bool
	headerOnly  bool
	eof         bool
	bodyCut     int64 // a Content-Length that a script set before the body was read; -1: none
	drop        bool  // close the connection without an answer
	spent       bool  // it went over its budget
	closes      bool  // a sub-request that ended with 444: its parent ends so too
	buf         []byte
	sent        int // bytes of body that already left
	stream      *stream
	next        *stream // becomes stream when the request begins
	filtering   bool
	lastMod     string
	inFilter    filterArg
	filterDead  bool
	noEOF       bool // the body has no end that anybody was told
	errPage     bool
	errPageBody bool
	held        bool // output waits for the end of the script
	errStatus   int  // of an error page's answer; 0 leaves it
	reason      string
	noDate      bool
	fromClient  string // of the request that made a timer
	connClose   bool

	ctxTable   *vm.Table
	vars       map[string]string
	captures   []string
	setArgs    []string
	subDepth   int
	subArgs    string
	subArgsSet bool
}

// Ctx is the request's fasthttp context; nil in init code and timers. In a
// sub-request it is the main request's.
func (r *Request) Ctx() *fasthttp.RequestCtx { return r.ctx }

// Main is the request that came from outside; r itself unless r is a
// sub-request.
func (r *Request) Main() *Request { return r.main }

// Location is what answers the request.
func (r *Request) Location() *Location { return r.loc }

// Route names the route of the main request, for logs and metrics.
func (r *Request) Route() string {
	if r.run != nil {
		return r.run.route
	}
	return ""
}

// Phase is what runs now.
func (r *Request) Phase() Phase { return r.phase }

// Params are the path parameters.
func (r *Request) Params() Params { return r.params }

// SetParams replaces the path parameters.
func (r *Request) SetParams(p Params) { r.params = p }

// VM is the universe the request runs in.
func (r *Request) VM() *VM { return r.vm }

// Method is the request method.
func (r *Request) Method() string { return r.method }

// SetMethod changes the request method.
func (r *Request) SetMethod(m string) { r.method = m }

// URI is the decoded path, without arguments.
func (r *Request) URI() string {
	if r.uri == "" && r.ctx != nil {
		r.uri = normalPath(string(r.ctx.Request.Header.RequestURI()))
	}
	return r.uri
}

// SetURI replaces the path; the location stays until Jump.
func (r *Request) SetURI(uri string) { r.uri = uri }

// Args is the query string.
func (r *Request) Args() string {
	if !r.argsKnown {
		r.argsKnown = true
		if r.ctx != nil {
			u := r.ctx.Request.Header.RequestURI()
			if i := indexByte(u, '?'); i >= 0 {
				u = u[i+1:]
				if j := indexByte(u, '#'); j >= 0 {
					u = u[:j]
				}
				r.args = string(u)
			}
		}
	}
	return r.args
}

// SetArgs replaces the query string.
func (r *Request) SetArgs(a string) { r.args, r.argsKnown = a, true }

// Internal reports whether the request came by an internal jump or as a
// sub-request.
func (r *Request) Internal() bool { return r.internal }

// SetInternal marks the request as come from inside.
func (r *Request) SetInternal(b bool) { r.internal = b }

// Status is the status of the answer so far; 0 when nothing set it.
func (r *Request) Status() int { return r.status }

// SetStatus sets the status of the answer.
func (r *Request) SetStatus(s int) { r.status = s }

// HeaderSent reports whether the answer's header has left.
func (r *Request) HeaderSent() bool { return r.headerSent }

func indexByte(b []byte, c byte) int {
	for i := range b {
		if b[i] == c {
			return i
		}
	}
	return -1
}

// headers parses the request's header once.
func (r *Request) headers() []header {
	if r.inKnown {
		return r.in
	}
	r.inKnown = true
	r.in = r.in[:0]
	if r.ctx == nil {
		return r.in
	}
	raw := r.ctx.Request.Header.RawHeaders()
	if len(raw) == 0 {
		for k, v := range r.ctx.Request.Header.All() {
			r.in = append(r.in, header{string(k), string(v)})
		}
		return r.in
	}
	for h, rest, ok := nextHeader(string(raw)); ok; h, rest, ok = nextHeader(rest) {
		if h.name != "" {
			r.in = append(r.in, h)
		}
	}
	return r.in
}

// nextHeader takes the first line of raw headers; ok is false at their end. A line that is none has no name.
func nextHeader(raw string) (h header, rest string, ok bool) {
	line, rest, _ := strings.Cut(raw, "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return h, "", false
	}
	if i := strings.IndexByte(line, ':'); i > 0 {
		h = header{strings.TrimRight(line[:i], " \t"), strings.Trim(line[i+1:], " \t")}
	}
	return h, rest, true
}

// Header gives the first value of a request header.
func (r *Request) Header(name string) (string, bool) {
	for _, h := range r.headers() {
		if strings.EqualFold(h.name, name) {
			return h.value, true
		}
	}
	return "", false
}

// SetHeader replaces a request header; no values removes it.
func (r *Request) SetHeader(name string, values ...string) {
	hs := r.headers()
	at := -1
	keep := hs[:0]
	for _, h := range hs {
		if strings.EqualFold(h.name, name) {
			if at < 0 {
				at = len(keep)
			}
			continue
		}
		keep = append(keep, h)
	}
	if len(values) > 0 {
		for _, v := range values {
			keep = append(keep, header{name, v})
		}
	}
	r.in = keep
	if strings.EqualFold(name, "host") {
		r.hostVar = ""
		if len(values) > 0 {
			r.hostVar = hostOnly(values[0])
		}
	}
	r.mirror(name, values)
}

// mirror keeps the fasthttp header in step, for modules written in Go.
func (r *Request) mirror(name string, values []string) {
	if r.main != r || r.ctx == nil {
		return
	}
	h := &r.ctx.Request.Header
	h.Del(name)
	for i, v := range values {
		if i == 0 {
			h.Set(name, v)
		} else {
			h.Add(name, v)
		}
	}
}

func hostOnly(h string) string {
	if strings.HasPrefix(h, "[") {
		if i := strings.IndexByte(h, ']'); i > 0 {
			return strings.ToLower(h[:i+1])
		}
	}
	if i := strings.IndexByte(h, ':'); i >= 0 {
		h = h[:i]
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}

// Host is nginx's $host: from the request line or the Host header.
func (r *Request) Host() string {
	if r.hostVar != "" {
		return r.hostVar
	}
	h, _ := r.Header("host")
	r.hostVar = hostOnly(h)
	return r.hostVar
}

// AtEnd registers f to run when the request ends; cancel takes it out.
func (r *Request) AtEnd(f func()) (cancel func()) {
	m := r
	m.endFuncs = append(m.endFuncs, f)
	i := len(m.endFuncs) - 1
	return func() {
		if i < len(m.endFuncs) {
			m.endFuncs[i] = nil
		}
	}
}

func (r *Request) runEndFuncs() {
	for i := 0; i < len(r.endFuncs); i++ {
		if f := r.endFuncs[i]; f != nil {
			f()
		}
	}
	clear(r.endFuncs)
	r.endFuncs = r.endFuncs[:0]
}

// from is the client of a request; in a timer, of the request that made it.
func (r *Request) from() string {
	if r.main == nil || r.ctx == nil {
		return r.fromClient
	}
	return hostOf(r.ctx.RemoteAddr())
}

// Client is the address of who sent the request; in a timer, of who sent the
// request that made it.
func (r *Request) Client() string { return r.from() }
