package accept

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poor is a listener that has no file descriptors for a while.
type poor struct {
	net.Listener
	fails int
}

func (p *poor) Accept() (net.Conn, error) {
	if p.fails > 0 {
		p.fails--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return p.Listener.Accept()
}

func TestServeOutlivesAWantOfFileDescriptors(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Serve(ctx, &poor{tcp, 3}, slog.New(slog.NewTextHandler(&said, nil)), func(conn net.Conn) {
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			io.Copy(conn, conn)
			conn.Close()
		})
	}()
	conn, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn.Write([]byte("echo"))
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "echo" {
		t.Fatal(string(got), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "too many open files"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	if _, err := conn.Read(got); err == nil {
		t.Error("a connection outlived Serve")
	}
}

func TestServeTellsThatItsListenerIsGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := Serve(t.Context(), ln, slog.New(slog.DiscardHandler), nil); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
