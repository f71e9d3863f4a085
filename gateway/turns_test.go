package gateway

import (
	"bufio"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"sluice/gateway/config"
	"sluice/gateway/epoll"
)

// front is the gateway's listener and server, changed.
func front(t *testing.T, l config.Limits, change func(*fasthttp.Server)) *epoll.Listener {
	t.Helper()
	ln, err := epoll.Listen("tcp", "127.0.0.1:0", epoll.Options{Connections: l.Connections})
	if err != nil {
		t.Fatal(err)
	}
	s := (&Gateway{cfg: config.Config{Limits: l}, ids: newRequestIDs(), metrics: newMetrics(prometheus.NewRegistry())}).newServer()
	s.Logger = nobody{}
	change(s)
	go ln.Serve(s.ServeConn)
	t.Cleanup(func() { ln.Close() })
	return ln
}

type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, ln *epoll.Listener) *client {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// line is the first line of an answer.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// rest reads what follows the first line.
func (c *client) rest() {
	c.t.Helper()
	h, err := textproto.NewReader(c.r).ReadMIMEHeader()
	if err != nil {
		c.t.Fatal(err)
	}
	n, _ := strconv.Atoi(h.Get("Content-Length"))
	io.CopyN(io.Discard, c.r, int64(n))
}

type nobody struct{}

func (nobody) Printf(string, ...any) {}

// A connection asks again, or another takes its place, while the server is not done with its last turn.
func TestWhoHasAPlaceIsServed(t *testing.T) {
	ln := front(t, config.Limits{Connections: 1, HeaderBytes: 4096}, func(s *fasthttp.Server) {
		s.Handler = func(*fasthttp.RequestCtx) {}
		next := s.ConnState
		s.ConnState = func(c net.Conn, state fasthttp.ConnState) {
			if next(c, state); state == fasthttp.StateClosed {
				time.Sleep(300 * time.Millisecond)
			}
		}
	})
	f := func(c *client, header string) {
		t.Helper()
		c.send("GET / HTTP/1.1\r\nHost: a\r\n" + header + "\r\n")
		if line := c.line(); line != "HTTP/1.1 200 OK" {
			t.Fatal(line)
		}
		c.rest()
	}
	c := dial(t, ln)
	for range 3 {
		f(c, "")
		time.Sleep(100 * time.Millisecond) // the turn ends
	}
	f(c, "Connection: close\r\n")
	f(dial(t, ln), "")
}

// A client who sends a byte now and then does not keep what it was refused for.
func TestDiscardHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, hers := net.Pipe()
		var sender sync.WaitGroup
		sender.Go(func() {
			for {
				if _, err := hers.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
		began := time.Now()
		discard(ours)
		ours.Close()
		sender.Wait()
		if took := time.Since(began); took > maxDiscardTime+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The deadline of the last answer is not that of the next request's "100 Continue", nor of its refusal.
func TestWriteDeadlineOfTheLastAnswerIsOver(t *testing.T) {
	ln := front(t, config.Limits{Connections: 10, HeaderBytes: 4096, BodyBytes: 10, WriteTimeout: 100 * time.Millisecond, ReadTimeout: time.Second, IdleTimeout: time.Minute},
		func(s *fasthttp.Server) { s.Handler = func(ctx *fasthttp.RequestCtx) { ctx.Write(ctx.PostBody()) } })
	c := dial(t, ln)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
		if line := c.line(); line != "HTTP/1.1 100 Continue" {
			t.Fatalf("%q", line)
		}
		c.rest()
		c.send("x")
		if line := c.line(); line != "HTTP/1.1 200 OK" {
			t.Fatalf("%q", line)
		}
		c.rest()
		time.Sleep(600 * time.Millisecond) // the deadline passes
	}
	c.send("bad\r\n\r\n")
	if line := c.line(); line != "HTTP/1.1 400 Bad Request" {
		t.Fatalf("%q", line)
	}
}
