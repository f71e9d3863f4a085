package ngx

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

func dropConn(c net.Conn) {}

// commit writes the answer into the fasthttp response.
func (r *Request) commit() {
	if st := r.stream; st != nil && st.closed {
		return
	}
	if st := r.stream; st != nil && st.started {
		r.push(nil, true) // the tail of a streamed body
		return
	}
	r.commitAll()
}

// plainError replaces an answer that its filters have failed by a page of ours.
func (r *Request) plainError(status int) {
	contentType, body := r.vm.host.ErrorPage(status)
	r.drop, r.connClose, r.errPageBody = false, true, true
	r.status, r.reason, r.out, r.clen = status, "", r.out[:0], -1
	r.ctype, r.ctypeSet = contentType, true
	r.buf = append(r.buf[:0], body...)
}

// commitAll writes header and body.
func (r *Request) commitAll() {
	ctx := r.ctx
	if r.drop && r.spent {
		r.plainError(500)
	}
	if r.drop {
		ctx.SetStatusCode(fasthttp.StatusInternalServerError) // for who counts and tries: no client gets it
		ctx.SetBody(r.buf)
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(dropConn)
		return
	}
	resp := &ctx.Response
	h := &resp.Header
	if r.vm.host.DateHeader && !r.noDate {
		h.Reset() // the server told it to leave Date out; Date cannot be set by name
	}
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
	if r.vm.host.DateHeader && !r.connClose && ctx.Request.Header.IsHTTP11() && !ctx.Request.Header.ConnectionClose() {
		h.Set("Connection", "keep-alive")
	}
	if r.vm.host.ServerHeader != "" {
		h.SetServer(r.vm.host.ServerHeader)
	}
	for i := range r.out {
		h.Add(r.out[i].name, r.out[i].value)
	}
	if r.connClose {
		resp.SetConnectionClose()
	}
	switch {
	case r.clen >= 0 && r.clen < int64(len(r.buf)):
		resp.SetBody(r.buf[:r.clen]) // what was announced
	case r.vm.host.Chunked && r.clen < 0 && !r.errPageBody && r.method != "HEAD" && !r.ctxIs10():
		resp.SetBodyStream(bytes.NewReader(append([]byte(nil), r.buf...)), -1)
	default:
		resp.SetBody(r.buf)
	}
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
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= '\r' && (c == '\r' || c == '\n' || c == 0) {
			clean = false
			break
		}
	}
	if clean {
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

// conditional answers 304 or 412 where the request's conditions say so, as
// nginx's not-modified filter does. It reports false when the answer was
// replaced by an error page.
func (r *Request) conditional() bool {
	if r.status != 200 || r.isSub() || r.ctx == nil {
		return true
	}
	lm, hasLM := int64(0), false
	if r.lastMod != "" {
		lm, hasLM = parseHTTPTime(r.lastMod)
	}
	etag, hasTag := "", false
	for i := range r.out {
		if len(r.out[i].name) == 4 && strings.EqualFold(r.out[i].name, "etag") {
			etag, hasTag = r.out[i].value, true
		}
	}
	if !hasLM && !hasTag {
		return true
	}
	if ius, ok := r.Header("if-unmodified-since"); ok && hasLM {
		if at, ok := parseHTTPTime(ius); ok && lm > at {
			r.dropHeader("last-modified")
			r.replaceBy(412)
			return false
		}
	}
	ims, hasIMS := r.Header("if-modified-since")
	inm, hasINM := r.Header("if-none-match")
	if !hasIMS && !hasINM {
		return true
	}
	if hasIMS {
		at, ok := parseHTTPTime(ims)
		if !hasLM || !ok || !(lm == at || r.loc != nil && r.loc.ModifiedBefore && lm <= at) {
			return true
		}
	}
	if hasINM && !etagIn(etag, hasTag, inm) {
		return true
	}
	r.status = 304
	r.ctype, r.ctypeSet = "", true
	r.SetRespHeader("Content-Length", "", false)
	return true
}

func etagIn(etag string, has bool, list string) bool {
	if list == "*" {
		return true
	}
	if !has {
		return false
	}
	for x := range strings.SplitSeq(list, ",") {
		if strings.TrimPrefix(strings.TrimSpace(x), "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
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
