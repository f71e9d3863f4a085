package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/bench/load"
	"sluice/bench/load/scenario"
	"sluice/bench/peers/rig"
	"sluice/bench/procs"
	"sluice/internal/servers"
)

const (
	hello   = "ngx.print(\"hello\")\n"
	headers = `local agent = ngx.var.http_user_agent
local lang = ngx.req.get_headers()["Accept-Language"]
ngx.status = 200
ngx.header["Content-Type"] = "text/plain"
ngx.header["X-Seen"] = ngx.var.http_x_trace
ngx.print(agent, " ", lang, " ", ngx.var.arg_q)
`
	floorVerb = "floor-server"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == floorVerb {
		if err := fasthttp.ListenAndServe(os.Args[2], floor); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench-lua:", err)
		os.Exit(1)
	}
}

// floor does the work of the two handlers in Go.
func floor(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) == "/hello" {
		ctx.SetBodyString("hello")
		return
	}
	ctx.SetContentType("text/plain")
	ctx.Response.Header.SetBytesV("X-Seen", ctx.Request.Header.Peek("X-Trace"))
	ctx.Write(ctx.UserAgent())
	ctx.WriteString(" ")
	ctx.Write(ctx.Request.Header.Peek("Accept-Language"))
	ctx.WriteString(" ")
	ctx.Write(ctx.QueryArgs().Peek("q"))
}

// side is one server.
type side struct {
	name string
	proc *rig.Proc
	cpu  map[string]time.Duration
	hits map[string]float64
}

func run(ctx context.Context) error {
	d, rounds := 3*time.Second, 4
	if os.Getenv("QUICK") != "" {
		d, rounds = 700*time.Millisecond, 2
	}
	binary := flag.String("sluice", "", "binary to measure; empty builds one")
	flag.DurationVar(&d, "run", d, "length of one run")
	flag.IntVar(&rounds, "rounds", rounds, "interleaved rounds")
	conns := flag.Int("connections", 64, "kept connections")
	flag.Parse()
	r, err := rig.New()
	if err != nil {
		return err
	}
	defer r.Close()
	sides, err := build(ctx, r, *binary)
	if err != nil {
		return err
	}
	names := []string{"hello", "headers"}
	for _, name := range names {
		for round := range rounds {
			for k := range sides {
				i := k
				if round%2 == 1 {
					i = len(sides) - 1 - k
				}
				if err := sides[i].run(ctx, name, *conns, d); err != nil {
					return err
				}
			}
		}
	}
	micros := func(s *side, name string) float64 { return s.cpu[name].Seconds() * 1e6 / s.hits[name] }
	fmt.Printf("%-8s %-14s %14s %16s\n", "handler", "server", "CPU us/req", "req/CPU-second")
	for _, name := range names {
		for _, s := range sides {
			fmt.Printf("%-8s %-14s %14.2f %16.0f\n", name, s.name, micros(s, name), 1e6/micros(s, name))
		}
	}
	fmt.Printf("hello_vs_nginx=%.2f headers_vs_nginx=%.2f\n", micros(sides[0], "hello")/micros(sides[1], "hello"), micros(sides[0], "headers")/micros(sides[1], "headers"))
	return nil
}

func build(ctx context.Context, r *rig.Rig, binary string) ([]*side, error) {
	st, err := r.Stores("sluice")
	if err != nil {
		return nil, err
	}
	house, err := r.Sluice(ctx, binary, st, "  - {name: bench_hello, method: GET, path: /hello, content: bench_hello.lua}\n  - {name: bench_headers, method: GET, path: /headers, content: bench_headers.lua}\n",
		map[string]string{"bench_hello.lua": hello, "bench_headers.lua": headers})
	if err != nil {
		return nil, err
	}
	house.Settle.Stop()
	house.Sync.Stop()
	conf := "    location = /hello { default_type text/plain; content_by_lua_file @F/hello.lua; }\n    location = /headers { content_by_lua_file @F/headers.lua; }\n"
	ng, err := r.Nginx("nginx", "", strings.ReplaceAll(conf, "@F", r.Dir+"/nginx/lua"), map[string]string{"hello.lua": hello, "headers.lua": headers})
	if err != nil {
		return nil, err
	}
	port, err := servers.Port()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench-lua: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	fl, err := r.Start("floor", addr, self, floorVerb, addr)
	if err != nil {
		return nil, err
	}
	var sides []*side
	for _, s := range []struct {
		name string
		proc *rig.Proc
	}{{"sluice", house.Gateway}, {"nginx+LuaJIT", ng}, {"bare fasthttp", fl}} {
		sides = append(sides, &side{s.name, s.proc, map[string]time.Duration{}, map[string]float64{}})
	}
	return sides, nil
}

var errAnswer = errors.New("answers are wrong")

func (s *side) run(ctx context.Context, name string, conns int, d time.Duration) error {
	path, size := "/hello", int64(5)
	if name == "headers" {
		path, size = "/headers?q=ask", int64(len("bench/1 zh-CN ask"))
	}
	prog, err := scenario.Single("GET", path, "", map[string]string{"User-Agent": "bench/1", "Accept-Language": "zh-CN", "X-Trace": "t1"}, nil, nil)
	if err != nil {
		return err
	}
	pids, err := s.proc.PIDs()
	if err != nil {
		return err
	}
	var failed error
	res, err := load.Run(ctx, load.Config{Targets: []string{"http://" + s.proc.Addr}, Program: prog, Closed: true, Connections: conns, RunUp: 200 * time.Millisecond, Duration: d,
		Measure: func(begin bool) {
			c, err := procs.Sum(pids)
			failed = errors.Join(failed, err)
			if begin {
				c = -c
			}
			s.cpu[name] += c
		}})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	s.hits[name] += float64(res.Requests)
	if res.Errors > 0 || res.Bytes != size*res.Requests {
		return fmt.Errorf("%w: %s, %s: %d errors of %d, %d bytes, want %d each", errAnswer, s.name, name, res.Errors, res.Requests, res.Bytes, size)
	}
	return nil
}
