package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/lua"
	"sluice/lua/ngx"
	"sluice/lua/socket"
)

// sluiceTarget serves a site by this runtime.
type sluiceTarget struct {
	rt    *lua.Runtime
	b     *lua.Bundle
	conf  *config
	lns   []net.Listener
	srvs  []*fasthttp.Server
	mu    sync.Mutex
	lines strings.Builder
}

func (t *sluiceTarget) start(s *site) error {
	c, err := load(s)
	if err != nil {
		return err
	}
	t.conf = c
	t.rt = lua.NewRuntime(lua.Config{
		MinVMs: 1, MaxRequests: 64, VMWait: 2 * time.Second, SharedGlobals: true, Unsafe: true, Debug: true,
		LogFunc: t.write, Shared: c.dicts, ErrorPage: errorPage, DefaultType: "text/plain",
		ServerName: "localhost", Root: s.dir + "/html", Prefix: s.dir + "/", LuaPath: c.luaPath, LuaCPath: c.luaCPath,
		MaxPendingTimers: c.maxPending, MaxRunningTimers: c.maxRunning, Sockets: c.sockets(),
		RegexMatchLimit: c.matchLimit, Getenv: c.getenv, ChunkName: c.chunkName,
		Files: os.ReadFile, TempDir: s.dir + "/logs", ServerHeader: "nginx", Chunked: true, DateHeader: true, StreamHTTP10: !c.flag("lua_http10_buffering", true), KeepUnderscores: c.keepUnderscores,
	})
	t.b, err = t.rt.Load(c.files, c.entries)
	if err != nil {
		return err
	}
	c.bind(t.b, t.logf)
	for i := range c.servers {
		srv := c.servers[i]
		for _, addr := range srv.listen {
			network := "tcp"
			if strings.HasPrefix(addr, "unix:") {
				network, addr = "unix", addr[5:]
			} else if !strings.Contains(addr, ":") {
				addr = "127.0.0.1:" + addr
			}
			l, err := net.Listen(network, addr)
			if err != nil {
				return err
			}
			t.lns = append(t.lns, l)
			fs := &fasthttp.Server{
				Handler: func(ctx *fasthttp.RequestCtx) {
					t.b.ServeWith(ctx, c.pick(ctx, srv), "test")
				},
				DisableHeaderNamesNormalizing: true, NoDefaultServerHeader: true, ReadBufferSize: 32 << 10,
				MaxRequestBodySize: 30 << 20, ReadTimeout: c.readTimeout(), IdleTimeout: 10 * time.Second,
				ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) {
					var ne net.Error
					if errors.As(err, &ne) && ne.Timeout() { // nginx says nothing either
						_ = ctx.Conn().Close()
						return
					}
					ctx.Error("Error when parsing request", 400)
				},
				Logger: nullLogger{}, CloseOnShutdown: true, NoDefaultContentType: true, NoDefaultDate: true,
			}
			t.srvs = append(t.srvs, fs)
			go func() { _ = fs.Serve(l) }()
		}
	}
	return nil
}

type nullLogger struct{}

func (nullLogger) Printf(string, ...any) {}

func (t *sluiceTarget) stop() {
	for _, l := range t.lns {
		_ = l.Close()
	}
	if t.rt != nil {
		_ = t.rt.Close()
	}
}

func (t *sluiceTarget) log() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines.String()
}

var levelNames = [...]string{"", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

// write is a line of nginx's error log.
func (t *sluiceTarget) write(r *ngx.Request, level int, msg string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if level > t.conf.logLevel {
		return
	}
	var b strings.Builder
	head := time.Now().Format("2006/01/02 15:04:05") + " [" + levelNames[level] + "] " + strconv.Itoa(os.Getpid()) + "#0: "
	b.WriteString(head)
	if r != nil && r.Main() != nil {
		fmt.Fprintf(&b, "*%d ", r.Ctx().ConnID())
	}
	if len(msg) > 2048-len(head) { // NGX_MAX_ERROR_STR
		msg = msg[:2048-len(head)]
	}
	b.WriteString(msg)
	if r != nil && r.Main() != nil && level <= 7 {
		h := r.Ctx()
		fmt.Fprintf(&b, ", client: %s, server: localhost, request: \"%s\"", h.RemoteIP(), r.RequestLine())
		if hh, ok := r.Main().Header("host"); ok {
			fmt.Fprintf(&b, ", host: \"%s\"", hh)
		}
	} else if r != nil && r.Phase() == ngx.PhaseTimer {
		b.WriteString(", context: ngx.timer")
		if c := r.Client(); c != "" {
			b.WriteString(", client: " + c + ", server: 0.0.0.0:" + strconv.Itoa(t.conf.s.port))
		}
	} else if r != nil && r.Phase() == ngx.PhaseInitWorker {
		b.WriteString(", context: init_worker_by_lua*")
	}
	b.WriteByte('\n')
	t.lines.WriteString(b.String())
}

func (t *sluiceTarget) logf(r *ngx.Request, level int, msg string) { t.write(r, level, msg) }

// errorPage is nginx's.
func errorPage(status int) (string, string) {
	ct, body := ngx.PlainErrorPage(status)
	body = strings.Replace(body, "</center>\r\n</body>", "</center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>", 1)
	return ct, body
}

func (c *config) sockets() socket.Config {
	return socket.Config{
		ConnectTimeout: c.dur("lua_socket_connect_timeout"), SendTimeout: c.dur("lua_socket_send_timeout"),
		ReadTimeout: c.dur("lua_socket_read_timeout"), KeepaliveTimeout: c.dur("lua_socket_keepalive_timeout"),
		PoolSize: c.num("lua_socket_pool_size", 0), Quiet: !c.flag("lua_socket_log_errors", true),
	}
}

func (c *config) readTimeout() time.Duration {
	if d := c.dur("client_body_timeout"); d > 0 {
		return max(d, 50*time.Millisecond)
	}
	return 20 * time.Second
}
