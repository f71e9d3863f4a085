package ngx

import (
	"os"
	"runtime"

	"sluice/lua/vm"
)

// Null is ngx.null (and cjson.null): one for the process.
var Null = vm.Light(nil)

const (
	nginxVersion   = "1.22.1" // whose behaviour we follow
	nginxVersionN  = 1022001
	luaVersion     = 10023
	subsystemsHTTP = "http"
)

// constants of the ngx table.
var constants = map[string]int{
	"OK": 0, "ERROR": -1, "AGAIN": -2, "DONE": -4, "DECLINED": -5,

	"HTTP_GET": 0x2, "HTTP_HEAD": 0x4, "HTTP_POST": 0x8, "HTTP_PUT": 0x10, "HTTP_DELETE": 0x20, "HTTP_MKCOL": 0x40,
	"HTTP_COPY": 0x80, "HTTP_MOVE": 0x100, "HTTP_OPTIONS": 0x200, "HTTP_PROPFIND": 0x400, "HTTP_PROPPATCH": 0x800,
	"HTTP_LOCK": 0x1000, "HTTP_UNLOCK": 0x2000, "HTTP_PATCH": 0x4000, "HTTP_TRACE": 0x8000,

	"HTTP_CONTINUE": 100, "HTTP_SWITCHING_PROTOCOLS": 101, "HTTP_OK": 200, "HTTP_CREATED": 201, "HTTP_ACCEPTED": 202,
	"HTTP_NO_CONTENT": 204, "HTTP_PARTIAL_CONTENT": 206, "HTTP_SPECIAL_RESPONSE": 300, "HTTP_MOVED_PERMANENTLY": 301,
	"HTTP_MOVED_TEMPORARILY": 302, "HTTP_SEE_OTHER": 303, "HTTP_NOT_MODIFIED": 304, "HTTP_TEMPORARY_REDIRECT": 307,
	"HTTP_PERMANENT_REDIRECT": 308, "HTTP_BAD_REQUEST": 400, "HTTP_UNAUTHORIZED": 401, "HTTP_PAYMENT_REQUIRED": 402,
	"HTTP_FORBIDDEN": 403, "HTTP_NOT_FOUND": 404, "HTTP_NOT_ALLOWED": 405, "HTTP_NOT_ACCEPTABLE": 406,
	"HTTP_REQUEST_TIMEOUT": 408, "HTTP_CONFLICT": 409, "HTTP_GONE": 410, "HTTP_UPGRADE_REQUIRED": 426,
	"HTTP_TOO_MANY_REQUESTS": 429, "HTTP_CLOSE": 444, "HTTP_ILLEGAL": 451, "HTTP_INTERNAL_SERVER_ERROR": 500,
	"HTTP_METHOD_NOT_IMPLEMENTED": 501, "HTTP_NOT_IMPLEMENTED": 501, "HTTP_BAD_GATEWAY": 502, "HTTP_SERVICE_UNAVAILABLE": 503,
	"HTTP_GATEWAY_TIMEOUT": 504, "HTTP_VERSION_NOT_SUPPORTED": 505, "HTTP_INSUFFICIENT_STORAGE": 507,

	"STDERR": 0, "EMERG": 1, "ALERT": 2, "CRIT": 3, "ERR": 4, "WARN": 5, "NOTICE": 6, "INFO": 7, "DEBUG": 8,
}

// API is the set of functions, made once and shared by all VMs.
type API struct {
	ngx, req, resp, location, timer, thread, worker map[string]vm.Value
	meta, varMeta, headerMeta, argMeta              map[string]vm.Value
	print                                           vm.Value
}

func funcs(m map[string]vm.GoFunc) map[string]vm.Value {
	out := make(map[string]vm.Value, len(m))
	for k, f := range m {
		out[k] = vm.NewFunc(k, f)
	}
	return out
}

// NewAPI makes the functions.
func NewAPI() *API {
	return &API{
		ngx: funcs(map[string]vm.GoFunc{
			"say": apiSay, "print": apiPrint, "flush": apiFlush, "eof": apiEOF, "send_headers": apiSendHeaders,
			"exit": apiExit, "exec": apiExec, "redirect": apiRedirect, "on_abort": apiOnAbort,
			"log": apiLog, "sleep": apiSleep, "get_phase": apiGetPhase,
			"escape_uri": apiEscapeURI, "unescape_uri": apiUnescapeURI, "encode_args": apiEncodeArgs, "decode_args": apiDecodeArgs,
			"md5": apiMD5, "md5_bin": apiMD5Bin, "sha1_bin": apiSHA1Bin, "hmac_sha1": apiHMACSHA1,
			"crc32_short": apiCRC32, "crc32_long": apiCRC32, "encode_base64": apiEncodeBase64, "decode_base64": apiDecodeBase64, "decode_base64mime": apiDecodeBase64MIME,
			"quote_sql_str": apiQuoteSQL,
			"now":           apiNow, "time": apiTime, "update_time": apiUpdateTime, "today": apiToday, "localtime": apiLocaltime,
			"utctime": apiUTCTime, "http_time": apiHTTPTime, "cookie_time": apiCookieTime, "parse_http_time": apiParseHTTPTime,
			"get_now_ts": apiTime, "get_now": apiNow, "get_today": apiToday,
		}),
		req: funcs(map[string]vm.GoFunc{
			"get_method": reqGetMethod, "set_method": reqSetMethod, "start_time": reqStartTime, "http_version": reqHTTPVersion,
			"raw_header": reqRawHeader, "get_headers": reqGetHeaders, "set_header": reqSetHeader, "clear_header": reqClearHeader,
			"get_uri_args": reqGetURIArgs, "set_uri_args": reqSetURIArgs, "set_uri": reqSetURI,
			"get_post_args": reqGetPostArgs, "is_internal": reqIsInternal,
			"read_body": bodyReadBody, "discard_body": bodyDiscard, "get_body_data": bodyData, "get_body_file": bodyFile,
			"set_body_data": bodySetData, "set_body_file": bodySetFile, "init_body": bodyInit, "append_body": bodyAppend,
			"finish_body": bodyFinish, "socket": apiReqSocket,
		}),
		resp:     funcs(map[string]vm.GoFunc{"get_headers": respGetHeaders}),
		location: funcs(map[string]vm.GoFunc{"capture": apiCapture, "capture_multi": apiCaptureMulti}),
		timer: funcs(map[string]vm.GoFunc{"at": timerAt, "every": timerEvery,
			"running_count": timerRunning, "pending_count": timerPending}),
		thread: funcs(map[string]vm.GoFunc{"spawn": threadSpawn, "wait": threadWait, "kill": threadKill}),
		worker: funcs(map[string]vm.GoFunc{
			"exiting": func(t *vm.Thread) int {
				select {
				case <-vmOf(t).host.Retired:
					t.PushBool(true)
				default:
					t.PushBool(false)
				}
				return 1
			},
			"pid":   func(t *vm.Thread) int { t.Push(vm.Int(os.Getpid())); return 1 },
			"id":    func(t *vm.Thread) int { t.Push(vm.Int(0)); return 1 },
			"count": func(t *vm.Thread) int { t.Push(vm.Int(1)); return 1 },
			"pids": func(t *vm.Thread) int {
				tb := vm.NewTable(1, 0)
				tb.SetInt(1, vm.Int(os.Getpid()))
				t.PushTable(tb)
				return 1
			},
		}),
		meta:       funcs(map[string]vm.GoFunc{"__index": ngxIndex, "__newindex": ngxNewIndex}),
		varMeta:    funcs(map[string]vm.GoFunc{"__index": varIndex, "__newindex": varNewIndex}),
		headerMeta: funcs(map[string]vm.GoFunc{"__index": headerIndex, "__newindex": headerNewIndex}),
		argMeta:    funcs(map[string]vm.GoFunc{"__index": argIndex, "__newindex": argNewIndex}),
		print:      vm.NewFunc("print", apiPrintLog),
	}
}

func fill(tb *vm.Table, m map[string]vm.Value) *vm.Table {
	for k, v := range m {
		tb.SetStr(k, v)
	}
	return tb
}

func proxy(meta map[string]vm.Value) vm.Value {
	tb := vm.NewTable(0, 0)
	tb.SetMetatable(fill(vm.NewTable(0, 2), meta))
	return tb.Value()
}

// Open makes a VM of a state: the ngx table, and what OpenResty changes in
// the standard library.
func Open(s *vm.State, h *Host, api *API) (*VM, *vm.Table) {
	v := &VM{State: s, host: h}
	s.Data = v
	v.idle = Request{vm: v, phase: PhaseInit}
	v.initTask = task{vm: v, req: &v.idle, wake: make(chan struct{}, 1)}
	v.cur = &v.initTask

	n := fill(vm.NewTable(0, 160), api.ngx)
	for k, c := range constants {
		n.SetStr(k, vm.Int(c))
	}
	n.SetStr("null", Null)
	// The old name of get_uri_args is still there, though pairs does not show it.
	req, old, oldMeta := fill(vm.NewTable(0, 32), api.req), vm.NewTable(0, 1), vm.NewTable(0, 1)
	old.SetStr("get_query_args", req.GetStr("get_uri_args"))
	oldMeta.SetStr("__index", old.Value())
	req.SetMetatable(oldMeta)
	n.SetStr("req", req.Value())
	n.SetStr("resp", fill(vm.NewTable(0, 4), api.resp).Value())
	n.SetStr("location", fill(vm.NewTable(0, 2), api.location).Value())
	n.SetStr("timer", fill(vm.NewTable(0, 4), api.timer).Value())
	n.SetStr("thread", fill(vm.NewTable(0, 4), api.thread).Value())
	n.SetStr("worker", fill(vm.NewTable(0, 4), api.worker).Value())
	n.SetStr("var", proxy(api.varMeta))
	n.SetStr("header", proxy(api.headerMeta))
	n.SetStr("arg", proxy(api.argMeta))
	n.SetStr("config", v.config())
	n.SetMetatable(fill(vm.NewTable(0, 2), api.meta))
	g := s.Globals()
	g.SetStr("ngx", n.Value())
	s.Loaded().SetStr("ngx", n.Value())
	g.SetStr("print", api.print)
	v.openCoroutines()
	return v, n
}

func (v *VM) config() vm.Value {
	c := vm.NewTable(0, 8)
	c.SetStr("subsystem", vm.String(subsystemsHTTP))
	c.SetStr("debug", vm.False)
	c.SetStr("nginx_version", vm.Int(nginxVersionN))
	c.SetStr("ngx_lua_version", vm.Int(luaVersion))
	c.SetStr("prefix", vm.NewFunc("prefix", func(t *vm.Thread) int {
		t.PushString(vmOf(t).host.Prefix)
		return 1
	}))
	c.SetStr("nginx_configure", vm.NewFunc("nginx_configure", func(t *vm.Thread) int {
		t.PushString("sluice " + runtime.Version())
		return 1
	}))
	return c.Value()
}

// Lib gives modules that belong to the ngx API itself.
func (v *VM) Lib(name string) (vm.Value, bool) {
	switch name {
	case "ngx.semaphore":
		return semaphoreModule(v), true
	case "ngx.base64":
		m := vm.NewTable(0, 2)
		m.SetStr("encode_base64url", vm.NewFunc("encode_base64url", apiEncodeBase64URL))
		m.SetStr("decode_base64url", vm.NewFunc("decode_base64url", apiDecodeBase64URL))
		return m.Value(), true
	case "ngx.req":
		m := vm.NewTable(0, 1)
		m.SetStr("add_header", vm.NewFunc("add_header", reqAddHeader))
		return m.Value(), true
	case "ngx.resp":
		m := vm.NewTable(0, 3)
		m.SetStr("add_header", vm.NewFunc("add_header", apiAddHeader))
		m.SetStr("set_status", vm.NewFunc("set_status", reqSetStatusReason))
		return m.Value(), true
	case "ngx.process":
		m := vm.NewTable(0, 2)
		m.SetStr("type", vm.NewFunc("type", func(t *vm.Thread) int { t.PushString("single"); return 1 }))
		return m.Value(), true
	}
	return vm.Nil, false
}

func ngxIndex(t *vm.Thread) int {
	k, _ := t.Arg(2).AsString()
	switch k {
	case "ctx":
		r := reqHereFake(t)
		if r.ctxTable == nil {
			r.ctxTable = vm.NewTable(0, 4)
		}
		t.Push(r.ctxTable.Value())
	case "status":
		return getStatus(t)
	case "headers_sent":
		t.PushBool(reqHere(t).headerSent)
	case "is_subrequest":
		t.PushBool(reqHere(t).isSub())
	default:
		t.PushNil()
	}
	return 1
}

// reqHereFake is reqHere for what also works in timers.
func reqHereFake(t *vm.Thread) *Request {
	r := RequestOf(t)
	if r.phase == PhaseInit {
		t.Errorf("no request found")
	}
	return r
}

func ngxNewIndex(t *vm.Thread) int {
	k, _ := t.Arg(2).AsString()
	switch k {
	case "ctx":
		tb := t.Arg(3).AsTable()
		if tb == nil {
			t.Errorf("ctx should be a table while getting a %s", t.Arg(3).Type())
		}
		reqHereFake(t).ctxTable = tb
	case "status":
		setStatus(t, t.Arg(3))
	default:
		t.RawSet(t.CheckTable(1), t.Arg(2), t.Arg(3))
	}
	return 0
}

func argIndex(t *vm.Thread) int {
	r := RequestOf(t)
	f, _ := t.Arg(2).AsNumber()
	i := int(f)
	switch r.phase {
	case PhaseBodyFilter:
		switch i {
		case 1:
			t.Push(r.inFilter.chunk)
		case 2:
			t.Push(r.inFilter.eof)
		default:
			t.PushNil()
		}
	case PhaseSet:
		if i >= 1 && i <= len(r.setArgs) {
			t.PushString(r.setArgs[i-1])
		} else {
			t.PushNil()
		}
	default:
		t.Errorf("API disabled in the current context")
	}
	return 1
}

func argNewIndex(t *vm.Thread) int {
	r := RequestOf(t)
	if r.phase != PhaseBodyFilter {
		t.Errorf("API disabled in the current context")
	}
	f, _ := t.Arg(2).AsNumber()
	v := t.Arg(3)
	switch int(f) {
	case 1:
		switch v.Type() {
		case vm.TypeNil:
			v = vm.String("")
		case vm.TypeString, vm.TypeNumber:
		case vm.TypeTable:
			n, msg := sizeArray(t, v.AsTable(), 0)
			if msg != "" {
				t.ArgError(3, msg)
			}
			r.roomFor(t, n)
			v = vm.String(string(appendTable(nil, v.AsTable())))
		default:
			t.Errorf("bad chunk data type: %s", v.Type())
		}
		r.inFilter.chunk = v
	case 2:
		r.inFilter.eof = vm.Bool(v.Truthy())
	default:
		s, _ := t.Arg(2).ToStringValue()
		t.Errorf("bad index: %s", s)
	}
	return 0
}

func apiGetPhase(t *vm.Thread) int {
	t.PushString(RequestOf(t).phase.String())
	return 1
}

// apiReqSocket: the request body has been read by fasthttp, so there is no
// raw socket to hand out.
func apiReqSocket(t *vm.Thread) int {
	need(t, phasesRun)
	return pushFail(t, "not supported here: the request body is read before the handler runs")
}
