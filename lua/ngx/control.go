package ngx

import (
	"fmt"
	"strings"

	"sluice/lua/vm"
)

func (r *Request) stop(t *vm.Thread, s signal) {
	r.signal = s
	t.Abort(errSignal)
}

func apiExit(t *vm.Thread) int {
	r := RequestOf(t)
	if r.phase == PhaseInit {
		t.Errorf("no request found")
	}
	code := t.CheckInt(1)
	if code == Again || code == Done {
		t.Errorf("bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE")
	}
	if r.phase&(phasesRun|PhaseTimer|PhaseHeaderFilter) == 0 {
		t.Errorf("API disabled in the context of %s", r.phase.context())
	}
	if len(r.subs) > 0 && code != Error && code != 444 && code != 408 && code != 499 {
		t.Errorf("attempt to abort with pending subrequests")
	}
	if r.headerSent && code >= 300 && code != 408 && code != 499 && code != 444 {
		if code != r.status {
			r.vm.host.log(r, LevelErr, fmt.Sprintf("attempt to set status %d via ngx.exit after sending out the response status %d", code, r.status))
		}
		code = 200
	}
	r.vm.host.debug(r, fmt.Sprintf("lua exit with code %d", code))
	if r.phase == PhaseHeaderFilter {
		r.signal = signal{kind: sigExit, code: code}
		return 0
	}
	r.stop(t, signal{kind: sigExit, code: code})
	return 0
}

func apiExec(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting one or two arguments, but got %d", n)
	}
	uri := t.CheckString(1)
	if uri == "" {
		t.Errorf("The uri argument is empty")
	}
	r := need(t, phasesRun)
	if len(r.subs) > 0 {
		t.Errorf("attempt to abort with pending subrequests")
	}
	args := ""
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		uri, args = uri[:i], uri[i+1:]
	}
	if unsafeURI(uri) {
		r.vm.host.log(r, LevelErr, "unsafe URI \""+uri+"\" was detected")
		t.Errorf("unsafe uri")
	}
	if n == 2 {
		extra := ""
		switch v := t.Arg(2); v.Type() {
		case vm.TypeNumber, vm.TypeString:
			extra, _ = v.ToStringValue()
		case vm.TypeTable:
			extra = encodeArgs(t, v.AsTable())
		case vm.TypeNil:
		default:
			t.ArgError(2, "string, number, or table expected, but got "+v.Type().String())
		}
		if extra != "" {
			if args != "" {
				args += "&"
			}
			args += extra
		}
	}
	if r.headerSent {
		t.Errorf("attempt to call ngx.exec after sending out response headers")
	}
	if uri[0] == '@' && args != "" {
		r.vm.host.log(r, LevelWarn, fmt.Sprintf("query strings %s ignored when exec'ing named location %s", args, uri))
	}
	r.stop(t, signal{kind: sigExec, uri: uri, args: args})
	return 0
}

// unsafeURI is nginx's ngx_http_parse_unsafe_uri, as far as it refuses.
func unsafeURI(u string) bool {
	if u == "" || u[0] == '?' {
		return true
	}
	if strings.HasPrefix(u, "../") || u == ".." || strings.Contains(u, "/../") || strings.HasSuffix(u, "/..") {
		return true
	}
	return strings.IndexByte(u, 0) >= 0
}

func apiRedirect(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting one or two arguments")
	}
	uri := t.CheckString(1)
	code := 302
	if n == 2 {
		code = t.CheckInt(2)
		switch code {
		case 301, 302, 303, 307, 308:
		default:
			t.Errorf("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, " +
				"ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
		}
	}
	r := need(t, phasesRun)
	if len(r.subs) > 0 {
		t.Errorf("attempt to abort with pending subrequests")
	}
	if r.headerSent {
		t.Errorf("attempt to call ngx.redirect after sending out the headers")
	}
	if b, bad := unsafeByte(uri); bad {
		t.Errorf("unsafe byte \"0x%02x\" in redirect uri \"%s\"", b, escapeLog(uri))
	}
	r.SetRespHeader("Location", uri, false)
	r.status = code
	r.stop(t, signal{kind: sigExit, code: code})
	return 0
}

// unsafeByte finds a byte that must not stand in a URI.
func unsafeByte(s string) (byte, bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x1f || c == 0x7f {
			return c, true
		}
	}
	return 0, false
}

// escapeLog writes control characters as \xNN.
func escapeLog(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x1f || c >= 0x7f || c == '\\' || c == '"' {
			fmt.Fprintf(&b, "\\x%02X", c)
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func apiOnAbort(t *vm.Thread) int {
	need(t, phasesRun)
	t.CheckFunction(1)
	return pushFail(t, "lua_check_client_abort is off")
}
