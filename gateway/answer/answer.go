// Package answer shapes what clients get that is not a handler's own: errors
// and "later". docs/errors.md lists the codes.
//
//	{"error":{"code":"later","message":"..."},"now":"...","retry_at":"..."}
//
// A time told is RFC 3339 in UTC with milliseconds.
package answer

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// TimeFormat is RFC 3339 with milliseconds, in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Error writes an error answer. field, if not "", names what is wrong in the
// body.
func Error(ctx *fasthttp.RequestCtx, status int, code, message, field string) {
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(AppendError(nil, code, message, field), '}', '\n'))
}

// Later writes "come back": 429 for the client's own doing, 503 for ours. The
// time is jittered over as long again, so that those who are told together do
// not come together.
func Later(ctx *fasthttp.RequestCtx, status int, code, message string, now time.Time, after time.Duration) {
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	after += rand.N(max(after, time.Second))
	ctx.Response.Header.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	b := AppendError(ctx.Response.Body(), code, message, "")
	b = append(b, `,"now":"`...)
	b = now.UTC().AppendFormat(b, TimeFormat)
	b = append(b, `","retry_at":"`...)
	b = now.Add(after).UTC().AppendFormat(b, TimeFormat)
	ctx.SetBody(append(b, '"', '}', '\n'))
}

// AppendError appends {"error":{...} without the last brace.
func AppendError(b []byte, code, message, field string) []byte {
	b = append(b, `{"error":{"code":`...)
	b = AppendString(b, code)
	b = append(b, `,"message":`...)
	b = AppendString(b, message)
	if field != "" {
		b = append(b, `,"field":`...)
		b = AppendString(b, field)
	}
	return append(b, '}')
}

// AppendString appends s as a JSON string; bytes that are no UTF-8 are
// replaced.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r < 0x20:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// AppendTime appends unix milliseconds as a JSON time, or null for 0.
func AppendTime(b []byte, unixMS int64) []byte {
	if unixMS == 0 {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = time.UnixMilli(unixMS).UTC().AppendFormat(b, TimeFormat)
	return append(b, '"')
}
