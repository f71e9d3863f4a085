package site

import (
	"log/slog"
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"sluice/lua"
)

func TestABundleBringsItsDictionariesInitScriptsAndBudgets(t *testing.T) {
	var kind string
	rt := lua.NewRuntime(lua.Config{Logger: slog.New(slog.DiscardHandler), OnBreach: func(b lua.Breach) { kind = b.Kind }})
	defer rt.Close()
	s, err := Load(rt, map[string]string{
		"routes.yaml": `
shared: {counts: 65536}
init: [init.lua]
init_worker: [worker.lua]
routes:
  - {name: count, method: GET, path: /count, content: count.lua}
  - {name: subs, method: GET, path: /subs, content: subs.lua, budget: {subrequests: 1}}
`,
		"init.lua":   `greeting = "hello"`,
		"worker.lua": `ngx.shared.counts:set("made by", "worker")`,
		"count.lua":  `ngx.print(greeting, " ", ngx.shared.counts:get("made by"), " ", (ngx.shared.counts:incr("n", 1, 0)))`,
		"subs.lua":   `ngx.location.capture("/count") ngx.location.capture("/count")`,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	get := func(i int) *fasthttp.RequestCtx {
		var req fasthttp.Request
		req.SetRequestURI(s.Table.Routes[i].Path)
		ctx := new(fasthttp.RequestCtx)
		ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
		s.Bound(s.Table.Routes[i]).Serve(ctx, nil)
		return ctx
	}
	for _, want := range []string{"hello worker 1", "hello worker 2"} {
		if got := string(get(0).Response.Body()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if code := get(1).Response.StatusCode(); code != 500 || kind != "subrequests" {
		t.Errorf("status %d, breach of %q", code, kind)
	}
}
