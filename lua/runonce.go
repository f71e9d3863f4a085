package lua

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua/ngx"
)

// OneRequest is a request for RunOnce.
type OneRequest struct {
	Method  string // zero value means GET
	URI     string // zero value means /
	Headers [][2]string
	Body    string
	Params  Params
	Init    []string // scripts that run in the VM first
}

// RunResult is what one handler run did.
type RunResult struct {
	Status  int
	Headers [][2]string
	Body    []byte
	Log     []string // lines, with level
	Failure string   // the first error or breach of the budget, of the handler or a timer; "" when there was none
	Used    ngx.Used
}

// RunOnce runs one script as the content of one request, with the whole
// bundle around it: what `sluice script run` does. The configuration's hooks
// for logs, errors and breaches are replaced.
func RunOnce(cfg Config, files map[string]string, script string, q OneRequest) (*RunResult, error) {
	var mu sync.Mutex
	res := &RunResult{}
	levels := [...]string{"stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}
	cfg.LogFunc = func(_ *ngx.Request, level int, msg string) {
		mu.Lock()
		defer mu.Unlock()
		res.Log = append(res.Log, fmt.Sprintf("[%s] %s", levels[level], msg))
	}
	cfg.OnError = func(e ScriptError) { res.fail(&mu, e.Message) }
	cfg.OnBreach = func(b Breach) { res.fail(&mu, "budget of "+b.Kind+" used up at "+b.Where) }
	cfg.MinVMs, cfg.MaxRequests = 1, 4
	rt := NewRuntime(cfg)
	defer func() { _ = rt.Close() }()
	entries := []Script{{Path: script, Phase: "content"}}
	for _, s := range q.Init {
		entries = append(entries, Script{Path: s, Phase: "init"})
	}
	b, err := rt.Load(files, entries)
	if err != nil {
		return nil, err
	}
	bd, err := b.Handler(Handler{Route: script, Content: script})
	if err != nil {
		return nil, err
	}
	bd.streams = false
	bd.onUsed = func(u ngx.Used) { res.Used = u }

	var req fasthttp.Request
	if q.Method == "" {
		q.Method = "GET"
	}
	if q.URI == "" {
		q.URI = "/"
	}
	req.Header.SetMethod(strings.ToUpper(q.Method))
	req.Header.SetHost("localhost")
	req.SetRequestURI(q.URI)
	for _, h := range q.Headers {
		req.Header.Add(h[0], h[1])
	}
	req.SetBodyString(q.Body)
	if q.Body != "" {
		req.Header.SetContentLength(len(q.Body)) // as a client would have sent it
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	bd.Serve(ctx, q.Params)
	// Timers of the run may still log; a moment is enough for those due at once.
	if p, n := b.host.TimerCount(); p+n > 0 {
		time.Sleep(50 * time.Millisecond)
	}
	res.Status = ctx.Response.StatusCode()
	for k, v := range ctx.Response.Header.All() {
		res.Headers = append(res.Headers, [2]string{string(k), string(v)})
	}
	res.Body = append([]byte(nil), ctx.Response.Body()...)
	mu.Lock()
	defer mu.Unlock()
	return res, nil
}

// fail keeps the first thing that ended a script.
func (r *RunResult) fail(mu *sync.Mutex, why string) {
	mu.Lock()
	defer mu.Unlock()
	r.Failure = cmp.Or(r.Failure, why)
}
