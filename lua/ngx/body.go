package ngx

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"sluice/lua/vm"
)

// reqBody is the request's body as scripts see it. fasthttp has read it
// before the handler runs; until a script asks, nginx would not have.
type reqBody struct {
	read      bool
	discarded bool
	set       bool // replaced by a script, or a sub-request's own
	data      string
	file      string
	building  []byte // between init_body and finish_body
	buildMax  int    // longer ones go to a file
	inBuild   bool
}

func (r *Request) readBody() {
	if r.body.read || r.body.discarded {
		return
	}
	r.body.read = true
	if r.body.set {
		return
	}
	if r.parent != nil {
		return
	}
	if r.ctx != nil {
		b := r.ctx.Request.Body()
		if r.bodyCut >= 0 && int64(len(b)) > r.bodyCut {
			b = b[:r.bodyCut]
		}
		r.body.data = string(b)
		if r.loc != nil {
			r.bodyToFile(r.loc.BodyInFile)
		}
	}
}

// bodyToFile moves a body longer than limit to a file, as nginx does with what
// its buffer cannot hold.
func (r *Request) bodyToFile(limit int) {
	if limit == 0 || len(r.body.data) <= limit && limit > 0 || r.body.data == "" || r.vm.host.TempDir == "" {
		return
	}
	f, err := os.CreateTemp(r.vm.host.TempDir, "body")
	if err != nil {
		return
	}
	name := f.Name()
	_, err = f.WriteString(r.body.data)
	if cerr := f.Close(); err != nil || cerr != nil {
		return
	}
	r.body.file = name
	r.AtEnd(func() { _ = os.Remove(name) })
}

// streamed reads a body that the server left on the connection.
func (r *Request) streamed(t *vm.Thread) {
	if r.ctx == nil || r.parent != nil || r.body.read || r.body.discarded || r.body.set || !r.ctx.Request.IsBodyStream() {
		return
	}
	req := &r.ctx.Request
	var body []byte
	var err error
	read := func() {
		body, err = io.ReadAll(req.BodyStream())
	}
	if t != nil {
		Block(t, read)
	} else {
		read()
	}
	if err != nil {
		r.body.discarded = true
		if t != nil {
			r.stop(t, signal{kind: sigExit, code: 408})
		}
		return
	}
	_ = req.CloseBodyStream()
	req.SetBody(body)
}

// ReadBody makes the body available, as ngx.req.read_body does.
func (r *Request) ReadBody() {
	r.streamed(nil)
	r.readBody()
}

// Body is what has been read of the body.
func (r *Request) Body() string {
	if !r.body.read {
		return ""
	}
	if r.body.file != "" {
		b, err := os.ReadFile(r.body.file)
		if err != nil {
			return ""
		}
		return string(b)
	}
	return r.body.data
}

// TakeBody hands the unread body over to a script that reads it piece by piece
// (ngx.req.socket), with the connection on which the rest of it comes.
func (r *Request) TakeBody(t *vm.Thread) (io.Reader, net.Conn, error) {
	if r.isSub() {
		t.Errorf("attempt to read the request body in a subrequest")
	}
	need(t, PhaseServerRewrite|PhaseRewrite|PhaseAccess|PhaseContent)
	switch {
	case r.ctx.Request.Header.ContentLength() == -1:
		return nil, nil, errors.New("chunked request bodies not supported yet")
	case r.body.read || r.body.set:
		return nil, nil, errors.New("request body already exists")
	case r.body.discarded:
		return nil, nil, errors.New("request body discarded")
	case r.ctx.Request.Header.ContentLength() <= 0:
		return nil, nil, errors.New("no body")
	}
	r.body.read = true
	if r.ctx.Request.IsBodyStream() {
		return r.ctx.Request.BodyStream(), r.ctx.Conn(), nil
	}
	return bytes.NewReader(r.ctx.Request.Body()), nil, nil
}

func noArgs(t *vm.Thread) {
	if n := t.NArgs(); n != 0 {
		t.Errorf("expecting 0 arguments but seen %d", n)
	}
}

func bodyReadBody(t *vm.Thread) int {
	noArgs(t)
	r := need(t, phasesRun)
	r.streamed(t)
	r.readBody()
	return 0
}

func bodyDiscard(t *vm.Thread) int {
	noArgs(t)
	r := need(t, phasesReq)
	if !r.body.read {
		r.body.discarded = true
	}
	return 0
}

func bodyData(t *vm.Thread) int {
	if n := t.NArgs(); n > 1 {
		t.Errorf("expecting 0 or 1 arguments but seen %d", n)
	}
	r := need(t, phasesReq)
	limit := t.OptInt(1, 0)
	if !r.body.read || r.body.file != "" || r.body.data == "" {
		t.PushNil()
		return 1
	}
	s := r.body.data
	if limit > 0 && len(s) > limit {
		s = s[:limit]
	}
	t.PushString(s)
	return 1
}

func bodyFile(t *vm.Thread) int {
	noArgs(t)
	r := need(t, phasesReq)
	if r.body.file == "" {
		t.PushNil()
	} else {
		t.PushString(r.body.file)
	}
	return 1
}

func bodyWritable(t *vm.Thread) *Request {
	r := need(t, phasesReq)
	if r.body.discarded {
		t.Errorf("request body already discarded asynchronously")
	}
	if !r.body.read {
		t.Errorf("request body not read yet")
	}
	return r
}

func (r *Request) setBody(s string) {
	r.body.data, r.body.file, r.body.set = s, "", true
	r.SetHeader("Content-Length", strconv.Itoa(len(s)))
	if r.main == r && r.ctx != nil {
		r.ctx.Request.SetBodyString(s)
	}
}

func bodySetData(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("expecting 1 arguments but seen %d", n)
	}
	s := t.CheckString(1)
	bodyWritable(t).setBody(s)
	return 0
}

func bodySetFile(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 arguments but seen %d", n)
	}
	name := t.CheckString(1)
	r := bodyWritable(t)
	if r.vm.host.Files == nil {
		t.Errorf("ngx.req.set_body_file: files are not open to scripts here")
	}
	b, err := r.vm.host.Files(name)
	if err != nil {
		t.Errorf("open() \"%s\" failed", name)
	}
	r.setBody(string(b))
	r.body.file = name
	if t.ToBool(2) {
		r.AtEnd(func() { _ = os.Remove(name) })
	}
	return 0
}

func bodyInit(t *vm.Thread) int {
	if n := t.NArgs(); n > 1 {
		t.Errorf("expecting 0 or 1 argument but seen %d", n)
	}
	r := need(t, phasesReq)
	size := -2
	if t.NArgs() == 1 {
		if size = t.CheckInt(1); size < 0 {
			t.Errorf("bad size argument: %d", size)
		}
	} else if r.loc != nil && r.loc.BodyInFile != 0 {
		size = r.loc.BodyInFile
	}
	if r.body.discarded {
		t.Errorf("request body already discarded asynchronously")
	}
	if !r.body.read {
		t.Errorf("request body not read yet")
	}
	r.body.inBuild, r.body.building, r.body.buildMax = true, nil, size
	return 0
}

func bodyAppend(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("expecting 1 arguments but seen %d", n)
	}
	s := t.CheckString(1)
	r := need(t, phasesReq)
	if !r.body.inBuild {
		t.Errorf("request_body not initialized")
	}
	t.State().Charge(t, int64(len(s)))
	r.body.building = append(r.body.building, s...)
	return 0
}

func bodyFinish(t *vm.Thread) int {
	if n := t.NArgs(); n != 0 {
		t.Errorf("expecting 0 argument but seen %d", n)
	}
	r := need(t, phasesReq)
	if !r.body.inBuild {
		t.Errorf("request_body not initialized")
	}
	r.body.inBuild = false
	limit := r.body.buildMax
	r.setBody(string(r.body.building))
	r.body.building = nil
	if limit == 0 { // no room in memory at all
		limit = -1
	}
	if limit >= -1 {
		r.bodyToFile(limit)
	}
	return 0
}

func reqGetPostArgs(t *vm.Thread) int {
	if n := t.NArgs(); n > 1 {
		t.Errorf("expecting 0 or 1 arguments but seen %d", n)
	}
	r := need(t, phasesReq)
	limit := maxArg(t, 1, 100)
	tb := vm.NewTable(0, 4)
	if r.body.discarded {
		t.Push(tb.Value())
		return 1
	}
	if !r.body.read {
		t.Errorf("no request body found; maybe you should turn on lua_need_request_body?")
	}
	if r.body.file != "" && !r.body.set {
		t.PushNil()
		t.PushString("request body in temp file not supported")
		return 2
	}
	cut := decodeArgs(strings.TrimRight(r.body.data, ""), limit, tb)
	t.PushTable(tb)
	if cut {
		r.vm.host.debug(r, "lua hit query args limit "+strconv.Itoa(limit))
		t.PushString("truncated")
		return 2
	}
	return 1
}
