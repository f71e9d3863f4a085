package epoll

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// serve answers with the request's path and body, served in turns; s may hold more of the server.
func serve(t *testing.T, o Options, s *fasthttp.Server) *Listener {
	t.Helper()
	ln, err := Listen("tcp", "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Handler == nil {
		s.Handler = func(ctx *fasthttp.RequestCtx) { fmt.Fprintf(ctx, "%s %s", ctx.Path(), ctx.PostBody()) }
	}
	s.ConnState, s.Logger = ConnState, quiet{}
	served := make(chan error, 1)
	go func() { served <- ln.Serve(s.ServeConn) }()
	t.Cleanup(func() {
		ln.Close()
		if err := await(t, served); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
		ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		if err := ln.Drain(ctx); err != nil {
			t.Error("Drain:", err)
		}
	})
	return ln
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// client is a connection to a server.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, ln *Listener) *client {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// receive wants an answer with this body.
func (c *client) receive(body string) {
	c.t.Helper()
	if status, got := c.answer(); status != 200 || got != body {
		c.t.Fatalf("%d %.100q (%d bytes), want %.100q (%d bytes)", status, got, len(got), body, len(body))
	}
}

func (c *client) answer() (status int, body string) {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// closed wants the server to have closed the connection without a word.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("%q, %v, want a closed connection", b, err)
	}
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never happened: ", what)
}

// undrained wants Drain to wait for what is still under way.
func undrained(t *testing.T, ln *Listener) {
	t.Helper()
	soon, done := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer done()
	if err := ln.Drain(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v though an answer is under way", err)
	}
}

func TestSilentConnectionsHaveNoGoroutine(t *testing.T) {
	ln := serve(t, Options{}, &fasthttp.Server{})
	var clients []*client
	for range 200 {
		clients = append(clients, dial(t, ln))
	}
	for round := range 3 {
		for i, c := range clients {
			path := fmt.Sprintf("/%d/%d", round, i)
			c.send(get(path))
			c.receive(path + " ")
		}
		if turns, idle := ln.crew.state(); round == 0 && turns+idle > 100 {
			t.Errorf("%d workers for 200 clients who came one by one", turns+idle)
		}
	}
	eventually(t, "all turns end", func() bool { turns, _ := ln.crew.state(); return turns == 0 })
}

func TestWhoComesBackAtOnceKeepsItsGoroutine(t *testing.T) {
	ln := serve(t, Options{}, &fasthttp.Server{})
	c := dial(t, ln)
	for range 3 {
		c.send(get("/"))
		c.receive("/ ")
	}
	if turns, _ := ln.crew.state(); turns != 1 && ln.poller.clock.Load() < int64(linger) {
		t.Errorf("%d turns", turns)
	}
	eventually(t, "the turn ends", func() bool { turns, _ := ln.crew.state(); return turns == 0 })
	c.send(get("/"))
	c.receive("/ ")
}

func TestConnectionIsTheSameInEveryTurn(t *testing.T) {
	ln := serve(t, Options{}, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		c := ctx.Conn().(*conn)
		fmt.Fprintf(ctx, "%d %d %s", c.Serial(), c.Requests(), ctx.RemoteAddr())
	}})
	a, b := dial(t, ln), dial(t, ln)
	a.send(get("/"))
	a.receive("1 1 " + a.LocalAddr().String())
	eventually(t, "the turn ends", func() bool { turns, _ := ln.crew.state(); return turns <= 1 }) // b's first may wait for it
	b.send(get("/") + get("/"))
	b.receive("2 1 " + b.LocalAddr().String())
	b.receive("2 2 " + b.LocalAddr().String())
	a.send(get("/"))
	a.receive("1 2 " + a.LocalAddr().String())
}

// Whatever stands in the server's buffer when an answer leaves belongs to the same turn.
func TestTurnsEndOnlyBetweenRequests(t *testing.T) {
	const buffer = 4096
	big := strings.Repeat("0123456789abcdef", 1<<10)
	ln := serve(t, Options{}, &fasthttp.Server{ReadBufferSize: buffer, Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/big" {
			ctx.WriteString(big) // more than the server gathers before it writes
			return
		}
		ctx.Write(ctx.PostBody())
	}})
	pause := func() { time.Sleep(20 * time.Millisecond) } // the server takes what has come
	c := dial(t, ln)
	for _, body := range []string{"", "x", big[:buffer], big[:3*buffer], big} {
		request := post("/", body)
		for _, cut := range []int{1, 10, len(request) - len(body) - 1, len(request) - len(body), len(request) - 1} {
			c.send(get("/big") + request[:min(cut, len(request))])
			pause()
			c.receive(big)
			c.send(request[min(cut, len(request)):])
			c.receive(body)
		}
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body)))
		if line, err := c.r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatal(line, err)
		}
		c.r.ReadString('\n')
		pause()
		c.send(body)
		c.receive(body)
	}
}

func TestSilenceHasABound(t *testing.T) {
	const bound = 300 * time.Millisecond
	ln := serve(t, Options{Silence: bound}, &fasthttp.Server{ReadTimeout: time.Minute, IdleTimeout: bound})
	fresh, c := dial(t, ln), dial(t, ln)
	c.send(get("/a"))
	c.receive("/a ")
	c.closed()
	fresh.closed()
}

// A client that goes away between two requests is no malformed request.
func TestWhoLeavesBetweenTurnsIsNoError(t *testing.T) {
	var errs atomic.Int64
	ln := serve(t, Options{}, &fasthttp.Server{ErrorHandler: func(*fasthttp.RequestCtx, error) { errs.Add(1) }})
	for i := range 40 {
		c := dial(t, ln)
		c.send(get("/a"))
		c.receive("/a ")
		if i%2 == 0 {
			c.Conn.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
	eventually(t, "all are closed", func() bool { return ln.connections() == 0 })
	if n := errs.Load(); n > 0 {
		t.Errorf("%d errors", n)
	}
}

func TestHandlersThatWaitHoldUpNobody(t *testing.T) {
	hold := make(chan struct{})
	var held atomic.Int64
	ln := serve(t, Options{}, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/hold" {
			held.Add(1)
			<-hold
		}
	}})
	const many = 100
	var clients []*client
	for range many {
		c := dial(t, ln)
		c.send(get("/hold"))
		clients = append(clients, c)
	}
	eventually(t, "all are held", func() bool { return held.Load() == many })
	for range 20 {
		c := dial(t, ln)
		c.send(get("/"))
		c.receive("")
	}
	close(hold)
	for _, c := range clients {
		c.receive("")
	}
	eventually(t, "all turns end", func() bool { turns, idle := ln.crew.state(); return turns == 0 && idle > many })
	ln.crew.mu.Lock()
	for _, w := range ln.crew.idle {
		w.since = w.since.Add(-2 * restAfter)
	}
	ln.crew.mu.Unlock()
	ln.crew.dismiss(false)
	if _, idle := ln.crew.state(); idle != 0 {
		t.Errorf("%d workers stay", idle)
	}
	clients[0].send(get("/"))
	clients[0].receive("")
}

func TestCloseEndsTurnsWhole(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	ln := serve(t, Options{}, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/hold" {
			close(held)
			<-hold
			ctx.WriteString("whole")
		}
	}})
	resting, working := dial(t, ln), dial(t, ln)
	resting.send(get("/"))
	resting.receive("")
	working.send(get("/hold"))
	<-held
	ln.Close()
	resting.closed()
	undrained(t, ln)
	close(hold)
	working.receive("whole")
	working.closed()
}

func TestConnectionsAreBounded(t *testing.T) {
	const full = "HTTP/1.1 503 Full\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull"
	const yours = "HTTP/1.1 429 Yours\r\nContent-Length: 5\r\nConnection: close\r\n\r\nyours"
	refusal := func(hers bool) []byte {
		if hers {
			return []byte(yours)
		}
		return []byte(full)
	}
	f := func(o Options, status int, body string) {
		t.Helper()
		o.Refusal = refusal
		ln := serve(t, o, &fasthttp.Server{})
		a, b := dial(t, ln), dial(t, ln)
		for _, c := range []*client{a, b} {
			c.send(get("/"))
			c.receive("/ ")
		}
		c := dial(t, ln)
		if s, got := c.answer(); s != status || got != body {
			t.Errorf("%+v: the third got %d %q", o, s, got)
		}
		a.Close()
		eventually(t, "a place is free", func() bool { return ln.connections() == 1 })
		c = dial(t, ln)
		c.send(get("/"))
		c.receive("/ ")
	}
	f(Options{Connections: 2}, 503, "full")
	f(Options{PerIP: 2}, 429, "yours")
}

// Who asks before the deadline is answered, however long the queue.
func TestQueueIsNoSilence(t *testing.T) {
	ln := serve(t, Options{Silence: time.Minute}, &fasthttp.Server{ReadTimeout: time.Minute, IdleTimeout: time.Minute})
	c, w := dial(t, ln), &ln.crew
	for range 2 {
		eventually(t, "no worker is on its way", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			free := !w.rising && w.turns == 0
			w.rising = free // nobody takes anything
			return free
		})
		c.send(get("/"))
		eventually(t, "c is in the queue", func() bool { waiting, _ := w.state(); return waiting > 0 })
		w.mu.Lock()
		w.queue[w.first].in.deadline.Store(0)
		w.rising = false
		w.call()
		c.receive("/ ")
	}
}

// A descriptor's number may be reused before the poller hands on an event of its last owner.
func TestEventOfAnotherIsHarmless(t *testing.T) {
	ln := serve(t, Options{}, &fasthttp.Server{}) // which must not end
	var over atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer over.Store(true)
	wg.Go(func() {
		for !over.Load() {
			ln.poller.mu.Lock()
			for _, s := range ln.poller.sockets {
				if s != nil {
					s.event(unix.EPOLLIN)
				}
			}
			ln.poller.mu.Unlock()
		}
	})
	for range 10_000 {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	c := dial(t, ln)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.send(get("/"))
	c.receive("/ ")
}

// Connections that left their turn to a goroutine of their own are waited for too.
func TestDrainWaitsForHijackedConnections(t *testing.T) {
	hold := make(chan struct{})
	ln := serve(t, Options{}, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
			<-hold
			io.WriteString(c, "whole")
		})
	}})
	c := dial(t, ln)
	c.send(get("/"))
	if _, err := c.r.Peek(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the turn ends", func() bool { turns, _ := ln.crew.state(); return turns == 0 })
	ln.Close()
	undrained(t, ln)
	close(hold)
	c.receive("whole")
}

// A worker who was woken for what another has taken comes when all are dismissed.
func TestLateWorkerIsDismissed(t *testing.T) {
	var w crew
	w.dismiss(true)
	ended := make(chan error)
	go func() { w.work(); ended <- nil }()
	await(t, ended)
}

// Many clients send requests cut anywhere, alone and several at once.
func TestTurnsOfManyClients(t *testing.T) {
	ln := serve(t, Options{}, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if len(ctx.PostBody())%7 == 0 {
			time.Sleep(time.Millisecond)
		}
		ctx.Write(ctx.Path())
		ctx.Write(ctx.PostBody())
	}})
	var wg sync.WaitGroup
	for i := range 30 {
		c := dial(t, ln)
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			for n := range 40 {
				var text strings.Builder
				var bodies []string
				for k := range 1 + rnd.IntN(3) {
					path, body := fmt.Sprintf("/%d/%d/%d", i, n, k), strings.Repeat("b", rnd.IntN(1+rnd.IntN(20000)))
					text.WriteString(post(path, body))
					bodies = append(bodies, path+body)
				}
				go func() {
					for s := text.String(); s != ""; {
						k := 1 + rnd.IntN(len(s))
						if _, err := io.WriteString(c, s[:k]); err != nil {
							return
						}
						if s = s[k:]; len(s)%3 == 0 {
							time.Sleep(time.Millisecond)
						}
					}
				}()
				for _, want := range bodies {
					a, err := http.ReadResponse(c.r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := io.ReadAll(a.Body); err != nil || string(b) != want {
						t.Errorf("client %d got %.50q (%d bytes, %v), want %.50q (%d)", i, b, len(b), err, want, len(want))
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestQueueKeepsItsOrder(t *testing.T) {
	var w crew
	w.rising = true // nobody takes anything
	next, last := uint64(0), uint64(0)
	for round := range 3000 {
		for range 3 {
			w.push(&conn{serial: last})
			last++
		}
		for range 2 + round%2 {
			if c := w.pop(); c.serial != next {
				t.Fatalf("%d came, want %d", c.serial, next)
			}
			next++
		}
	}
	for ; next < last; next++ {
		if c := w.pop(); c.serial != next {
			t.Fatalf("%d came, want %d", c.serial, next)
		}
	}
	if w.pop() != nil {
		t.Error("something is left")
	}
}

// The memory that a client takes who has asked once and says nothing more.
func BenchmarkSilentConnection(b *testing.B) {
	b.Run("turns", func(b *testing.B) { silent(b, func(ln *Listener, s *fasthttp.Server) { ln.Serve(s.ServeConn) }) })
	b.Run("goroutines", func(b *testing.B) { silent(b, func(ln *Listener, s *fasthttp.Server) { s.Serve(ln) }) })
}

func silent(b *testing.B, serve func(*Listener, *fasthttp.Server)) {
	const many = 4000
	used := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	must := func(_ int, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		ln, err := Listen("tcp", "127.0.0.1:0", Options{})
		must(0, err)
		go serve(ln, &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}, ReadBufferSize: 16 << 10, ConnState: ConnState, Logger: quiet{}})
		before := used()
		var fds []int
		for range many { // descriptors only: no memory of this process
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must(fd, err)
			fds = append(fds, fd)
			must(0, unix.Connect(fd, &unix.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}))
			must(unix.Write(fd, []byte(get("/"))))
			must(unix.Read(fd, make([]byte, 1000)))
		}
		b.ReportMetric((used()-before)/many, "B/conn")
		ln.Close()
		for _, fd := range fds {
			unix.Close(fd)
		}
		for ln.connections() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
