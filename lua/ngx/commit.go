package ngx

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

func dropConn(c net.Conn) {}

// commit writes the answer into the fasthttp response.
func (r *Request) commit() {
	if r.stream != nil && (r.stream.started && r.headerSent && r.buf == nil && r.sent > 0 || r.stream.closed) {
		return
	}
	if r.stream != nil && r.stream.started && r.sent > 0 {
		// the tail of a streamed body
		r.push(nil, true)
		return
	}
	ctx := r.ctx
	if r.drop {
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(dropConn)
		return
	}
	r.conditional()
	resp := &ctx.Response
	h := &resp.Header
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	if r.reason != "" {
		h.SetStatusMessage([]byte(r.reason))
	}
	resp.SetStatusCode(r.status)
	if !r.ctypeSet {
		r.ctype = r.DefaultType()
	}
	if r.ctype != "" && r.status != 204 && r.status != 304 {
		h.SetContentType(r.ctype)
	}
	if r.vm.host.ServerHeader != "" {
		h.SetServer(r.vm.host.ServerHeader)
	}
	for i := range r.out {
		h.Add(r.out[i].name, cleanValue(r.out[i].value))
	}
	if r.connClose {
		resp.SetConnectionClose()
	}
	resp.SetBody(r.buf)
	if r.method == "HEAD" {
		resp.SkipBody = true
		if r.clen >= 0 {
			h.SetContentLength(int(r.clen))
		}
	}
	if r.status == 204 || r.status == 304 {
		resp.ResetBody()
	}
}

// cleanValue escapes what could end a header line.
func cleanValue(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\r', '\n', 0:
			b.WriteString("%")
			b.WriteString(strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// conditional answers 304 or 412 where Last-Modified says so, as nginx's
// not-modified filter does.
func (r *Request) conditional() {
	if r.status != 200 || r.lastMod == "" || r.isSub() {
		return
	}
	lm, ok := parseHTTPTime(r.lastMod)
	if !ok {
		return
	}
	if ius, ok := r.Header("if-unmodified-since"); ok {
		if at, ok := parseHTTPTime(ius); ok && lm > at {
			r.status = 412
			r.dropHeader("last-modified")
			r.ctype, r.ctypeSet = "", true
			ct, body := r.vm.host.ErrorPage(412)
			r.ctype, r.buf = ct, append(r.buf[:0], body...)
			return
		}
	}
	if ims, ok := r.Header("if-modified-since"); ok {
		if at, ok := parseHTTPTime(ims); ok && lm == at {
			r.status = 304
			r.buf = r.buf[:0]
			r.ctype, r.ctypeSet = "", true
			r.dropHeader("content-length")
			r.clen = -1
		}
	}
}

func methodName(b []byte) string {
	switch string(b) {
	case fasthttp.MethodGet:
		return fasthttp.MethodGet
	case fasthttp.MethodPost:
		return fasthttp.MethodPost
	case fasthttp.MethodPut:
		return fasthttp.MethodPut
	case fasthttp.MethodHead:
		return fasthttp.MethodHead
	case fasthttp.MethodDelete:
		return fasthttp.MethodDelete
	}
	return string(b)
}

func httpTime(sec int64) string {
	return time.Unix(sec, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
}

func parseHTTPTime(s string) (int64, bool) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT",
		"Mon, 02-Jan-06 15:04:05 GMT", "Mon, 02-Jan-2006 15:04:05 GMT", "Mon Jan _2 15:04:05 2006", "Mon, 2 Jan 2006 15:04:05 GMT"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
