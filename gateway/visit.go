package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"sluice/gateway/route"
	"sluice/lua"
	"sluice/lua/ngx"
)

// visit is what the gateway keeps for one request besides fasthttp's context.
type visit struct {
	id      [16]byte
	values  route.Values
	params  lua.Params
	backing [route.MaxParams]ngx.Param
}

var visits = sync.Pool{New: func() any { return new(visit) }}

// requestIDs makes ids that are unique in the fleet: 32 random bits of the
// process, then a count.
type requestIDs struct {
	prefix [8]byte
	count  atomic.Uint32
}

func newRequestIDs() *requestIDs {
	var random [4]byte
	rand.Read(random[:])
	r := &requestIDs{}
	hex.Encode(r.prefix[:], random[:])
	return r
}

func (r *requestIDs) next(id *[16]byte) {
	copy(id[:], r.prefix[:])
	n := r.count.Add(1)
	for i := range 8 {
		id[15-i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
}

// header is where the client finds the request id, and a trusted proxy may set it.
const requestIDHeader = "X-Request-Id"

// foreignID takes over the id that a trusted proxy gave, when it is a sane one.
func foreignID(ctx *fasthttp.RequestCtx) []byte {
	id := ctx.Request.Header.Peek(requestIDHeader)
	if len(id) < 8 || len(id) > 64 {
		return nil
	}
	for _, c := range id {
		if c-'a' > 25 && c-'A' > 25 && c-'0' > 9 && c != '-' && c != '_' {
			return nil
		}
	}
	return id
}
