package gateway

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"sluice/gateway/answer"
	"sluice/gateway/route"
	"sluice/gateway/site"
)

// laterAfter is the least time a client that was told "later" stays away.
const laterAfter = time.Second

// serve answers one request.
func (g *Gateway) serve(ctx *fasthttp.RequestCtx) {
	began := time.Now()
	v := visits.Get().(*visit)
	g.identify(ctx, v)
	if g.draining.Load() {
		ctx.SetConnectionClose()
	}
	name := g.answer(ctx, v)
	g.metrics.observe(name, ctx, time.Since(began))
	visits.Put(v)
}

// answer writes the answer and returns the route's name for the metrics.
func (g *Gateway) answer(ctx *fasthttp.RequestCtx, v *visit) string {
	live := g.scripts.Live().(*site.Site)
	r, verdict := live.Table.Find(b2s(ctx.Method()), b2s(ctx.URI().PathOriginal()), &v.values)
	switch {
	case verdict == route.NotFound:
		answer.Error(ctx, 404, "no_route", "no such path", "")
		return "none"
	case verdict == route.NotAllowed:
		ctx.Response.Header.Set("Allow", live.Table.Allow(r))
		answer.Error(ctx, 405, "method_not_allowed", "the path does not know this method", "")
		return "none"
	case verdict == route.BadParam:
		answer.Error(ctx, 400, "bad_id", "an id in the path is 1-64 characters of [A-Za-z0-9_.~-]", "")
		return "none"
	case !r.On():
		answer.Later(ctx, 503, "switched_off", "this is switched off for now", time.Now(), 10*time.Second)
		return r.Name
	case !g.gate.Enter(xxhash.Sum64(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))):
		answer.Later(ctx, 503, "later", "too many at once, please come back", time.Now(), laterAfter)
		return r.Name
	}
	defer g.gate.Leave()
	v.params = site.Params(r, &v.values, v.backing[:0])
	live.Bound(r).Serve(ctx, v.params)
	if ctx.Response.StatusCode() >= 500 && len(ctx.Response.Header.ContentType()) == 0 {
		answer.Error(ctx, ctx.Response.StatusCode(), "internal", "something went wrong; tell us the request id", "")
	}
	return r.Name
}

// bodyLimit lets a body be larger than limits.body_bytes where the route says so, and a good token is shown:
// many who send slowly are as much memory as their bodies may be long.
func (g *Gateway) bodyLimit(h *fasthttp.RequestHeader) (limits fasthttp.RequestConfig) {
	if n := h.ContentLength(); n <= g.cfg.Limits.BodyBytes && n != chunked {
		return limits
	}
	path, _, _ := strings.Cut(b2s(h.RequestURI()), "?")
	var values route.Values
	r, verdict := g.scripts.Live().(*site.Site).Table.Find(b2s(h.Method()), path, &values)
	if verdict != route.Found || r.BodyBytes <= g.cfg.Limits.BodyBytes || g.tokens == nil {
		return limits
	}
	if _, err := g.tokens.Bearer(b2s(h.Peek(fasthttp.HeaderAuthorization))); err == nil {
		limits.MaxRequestBodySize = r.BodyBytes
	}
	return limits
}

// chunked is the ContentLength of a body that comes in chunks.
const chunked = -1

// identify gives the request its id and its true client address.
func (g *Gateway) identify(ctx *fasthttp.RequestCtx, v *visit) {
	if len(g.trusted) > 0 && g.fromProxy(ctx.RemoteIP()) {
		if client := forwardedFor(ctx, g.fromProxy); client != nil {
			ctx.SetRemoteAddr(&net.TCPAddr{IP: client})
		}
		if id := foreignID(ctx); id != nil {
			ctx.Response.Header.SetBytesV(requestIDHeader, id)
			return
		}
	}
	g.ids.next(&v.id)
	ctx.Request.Header.SetBytesV(requestIDHeader, v.id[:])
	ctx.Response.Header.SetBytesV(requestIDHeader, v.id[:])
}

func (g *Gateway) fromProxy(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	addr = addr.Unmap()
	for _, prefix := range g.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor is the last address in X-Forwarded-For that is no proxy of ours:
// what stands before it was written by the client and proves nothing.
func forwardedFor(ctx *fasthttp.RequestCtx, trusted func(net.IP) bool) net.IP {
	list := ctx.Request.Header.Peek(fasthttp.HeaderXForwardedFor)
	for len(list) > 0 {
		at := bytes.LastIndexByte(list, ',')
		ip := net.ParseIP(b2s(bytes.TrimSpace(list[at+1:])))
		if ip == nil {
			return nil
		}
		if !trusted(ip) || at < 0 {
			return ip
		}
		list = list[:at]
	}
	return nil
}

// tooMany answers a connection beyond the limits; hers is that of one address.
func (g *Gateway) tooMany(hers bool) []byte {
	var ctx fasthttp.RequestCtx
	if hers {
		answer.Later(&ctx, 429, "later", "too many connections from your address", time.Now(), laterAfter)
	} else {
		answer.Later(&ctx, 503, "later", "too many connections, please come back", time.Now(), laterAfter)
	}
	ctx.SetConnectionClose()
	g.metrics.observe("none", &ctx, 0)
	var b bytes.Buffer
	ctx.Response.WriteTo(&b)
	return b.Bytes()
}

// discard reads on for a moment from a client who sends more than we take: a
// connection closed upon unread bytes is reset, and the answer lost with it.
func discard(conn net.Conn) {
	buffer := make([]byte, 16<<10)
	end := time.Now().Add(maxDiscardTime)
	for total := 0; total < maxDiscard && time.Now().Before(end); {
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := conn.Read(buffer)
		if total += n; err != nil {
			return
		}
	}
}

// What bounds discard.
const (
	maxDiscard     = 4 << 20
	maxDiscardTime = 5 * time.Second
)

// refuse answers what fasthttp could not read as a request.
func (g *Gateway) refuse(ctx *fasthttp.RequestCtx, err error) {
	var id [16]byte
	g.ids.next(&id)
	ctx.Response.Header.SetBytesV(requestIDHeader, id[:])
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		discard(ctx.Conn())
		answer.Error(ctx, 431, "headers_too_large", "the request line and headers are too large", "")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		discard(ctx.Conn())
		answer.Error(ctx, 413, "body_too_large", "the body is too large", "")
	case errors.As(err, &timeout) && timeout.Timeout():
		answer.Error(ctx, 408, "timeout", "the request did not arrive in time", "")
	default:
		answer.Error(ctx, 400, "malformed", "this is not an HTTP request", "")
	}
	ctx.SetConnectionClose()
	g.metrics.observe("none", ctx, 0)
}
