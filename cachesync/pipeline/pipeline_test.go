package pipeline_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/cachesync/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a request "<text>\n" whose reply is the same line.
type echo struct {
	pipeline.Call
	got string
}

func newEcho(text string) *echo {
	e := &echo{}
	e.Init(e)
	e.Req = append([]byte(text), '\n')
	return e
}

func (e *echo) ReadReply(r *pipeline.Reader) error {
	line, err := r.Line()
	e.got = string(line)
	return err
}

func (*echo) Recycle() {}

// server answers each connection with f.
func server(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, nc)
			mu.Unlock()
			wg.Go(func() { defer nc.Close(); f(nc) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, nc := range conns {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

func parrot(nc net.Conn) { io.Copy(nc, nc) }

// plain hides the socket, as TLS does: nothing can be written without waiting.
type plain struct{ net.Conn }

func TestEverybodyGetsTheirOwnReply(t *testing.T) {
	f := func(name string, cfg pipeline.Config, size int) {
		t.Run(name, func(t *testing.T) {
			n := pipeline.NewNode(server(t, parrot), cfg)
			defer n.Close()
			var wg sync.WaitGroup
			for g := range 32 {
				wg.Go(func() {
					for i := range 50 {
						want := fmt.Sprintf("%d-%d-%s", g, i, strings.Repeat("x", size))
						e := newEcho(want)
						if err := n.Do(context.Background(), &e.Call, i); err != nil || e.got != want {
							t.Errorf("%v, %d bytes", err, len(e.got))
							return
						}
						e.Release()
					}
				})
			}
			wg.Wait()
			if s := n.Stats(); s.Calls != 1600 || s.Errors != 0 || s.InFlight != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	f("small", pipeline.Config{}, 10)
	f("two connections", pipeline.Config{Conns: 2}, 10)
	f("large, beyond the socket's buffer", pipeline.Config{Timeout: 20 * time.Second}, 50_000)
	f("without a raw socket", pipeline.Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return plain{nc}, err
	}}, 1000)
}

func TestCallsThatWaitTravelTogether(t *testing.T) {
	release := make(chan struct{})
	n := pipeline.NewNode(server(t, parrot), pipeline.Config{Handshake: func(context.Context, net.Conn) error { <-release; return nil }, Timeout: 5 * time.Second})
	defer n.Close()
	calls := make([]*echo, 100)
	for i := range calls {
		calls[i] = newEcho("x")
		if err := n.Start(t.Context(), &calls[i].Call, 0); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	for _, c := range calls {
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := n.Stats(); s.Writes != 1 {
		t.Errorf("%d writes for what was ready at once", s.Writes)
	}
}

func TestErrorsTellWhetherTheRequestMayHaveRun(t *testing.T) {
	silent := server(t, func(nc net.Conn) { io.Copy(io.Discard, nc) })
	f := func(name, addr string, cfg pipeline.Config, cause error, maybeSent bool) {
		t.Helper()
		n := pipeline.NewNode(addr, cfg)
		defer n.Close()
		time.Sleep(30 * time.Millisecond)
		e := newEcho("x")
		defer e.Release()
		err := n.Do(t.Context(), &e.Call, 0)
		var pe *pipeline.Error
		if !errors.Is(err, cause) || !errors.As(err, &pe) || pe.MaybeSent != maybeSent || errors.Is(err, pipeline.ErrUnknown) != maybeSent || errors.Is(err, pipeline.ErrUnsent) == maybeSent {
			t.Errorf("%s: %v (may be sent %v), want %v (%v)", name, err, pe != nil && pe.MaybeSent, cause, maybeSent)
		}
	}
	short := pipeline.Config{Timeout: 100 * time.Millisecond}
	f("no reply", silent, short, pipeline.ErrTimeout, true)
	f("nobody listens", "127.0.0.1:1", short, pipeline.ErrDown, false)
	stuck := short
	stuck.DialTimeout = 5 * time.Second
	stuck.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	f("still dialling", silent, stuck, pipeline.ErrTimeout, false)
	f("hangs up", server(t, func(nc net.Conn) { bufio.NewReader(nc).ReadString('\n') }), short, pipeline.ErrLost, true)
	f("talks unasked", server(t, func(nc net.Conn) { nc.Write([]byte("a\nb\n")); io.Copy(io.Discard, nc) }), pipeline.Config{Timeout: 100 * time.Millisecond, BackoffMin: 10 * time.Second, BackoffMax: 10 * time.Second}, pipeline.ErrTimeout, false)
	ctx, cancel := context.WithCancel(t.Context())
	n := pipeline.NewNode(silent, pipeline.Config{Timeout: 5 * time.Second})
	defer n.Close()
	time.AfterFunc(30*time.Millisecond, cancel)
	e := newEcho("x")
	defer e.Release()
	if err := n.Do(ctx, &e.Call, 0); !errors.Is(err, pipeline.ErrCanceled) || !errors.Is(err, context.Canceled) || !errors.Is(err, pipeline.ErrUnknown) {
		t.Errorf("canceled: %v", err)
	}
}

func TestBytesAreBounded(t *testing.T) {
	n := pipeline.NewNode(server(t, func(nc net.Conn) { io.Copy(io.Discard, nc) }), pipeline.Config{Timeout: 300 * time.Millisecond, MaxBytes: 1000})
	defer n.Close()
	big := newEcho(strings.Repeat("x", 5000)) // one may always pass
	if err := n.Start(t.Context(), &big.Call, 0); err != nil {
		t.Fatal(err)
	}
	small := newEcho("x")
	if err := n.Start(t.Context(), &small.Call, 0); !errors.Is(err, pipeline.ErrBusy) {
		t.Errorf("%v, want busy", err)
	}
	small.Release()
	big.Wait(t.Context())
	big.Release()
}

func TestReaderCutsLinesAndBytesHoweverTheyArrive(t *testing.T) {
	var text bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&text, "%d\r\n%s", i, strings.Repeat(string(rune('a'+i%26)), i))
	}
	r := pipeline.NewReader(&trickle{b: text.Bytes()})
	var kept [][]byte
	for i := range 2000 {
		line, err := r.Line()
		if err != nil || string(line) != fmt.Sprint(i) {
			t.Fatalf("line %d: %q %v", i, line, err)
		}
		if i%3 == 0 {
			if err := r.Discard(i); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := r.Bytes(i)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, b)
	}
	for _, b := range kept {
		if len(b) > 0 && strings.Trim(string(b), string(b[0])) != "" {
			t.Fatalf("kept bytes changed: %.40q", b)
		}
	}
	if _, err := pipeline.NewReader(strings.NewReader(strings.Repeat("x", 100_000))).Line(); !errors.Is(err, pipeline.ErrProtocol) {
		t.Errorf("endless line: %v", err)
	}
}

// trickle returns a few bytes at a time.
type trickle struct {
	b []byte
	n int
}

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	r.n = r.n%977 + 1
	n := copy(p[:min(len(p), r.n)], r.b)
	r.b = r.b[n:]
	return n, nil
}
