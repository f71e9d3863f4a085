package epoll

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv(starved) != "" {
		serveStarved()
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func TestCloseEndsAccept(t *testing.T) {
	ln := listen(t)
	errs := make(chan error, 1)
	go func() { _, err := ln.Accept(); errs <- err }()
	time.Sleep(10 * time.Millisecond)
	ln.Close()
	if err := await(t, errs); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("a closed listener was reached")
	}
}

func TestConnectionsInheritOptions(t *testing.T) {
	_, served := pair(t)
	fd := served.(*conn).fd
	for _, o := range []struct {
		name          string
		level, option int
		want          int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if got, err := unix.GetsockoptInt(fd, o.level, o.option); err != nil || got != o.want {
			t.Errorf("%s is %d, %v, want %d", o.name, got, err, o.want)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children would inherit it: %x, %v", flags, err)
	}
}

func TestNetworks(t *testing.T) {
	f := func(network, address string) {
		t.Helper()
		ln, err := Listen(network, address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		served, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		if got, want := served.RemoteAddr().String(), client.LocalAddr().String(); got != want {
			t.Errorf("%s %s: client is %s, want %s", network, address, got, want)
		}
	}
	f("tcp", "127.0.0.1:0")
	f("tcp4", "127.0.0.1:0")
	if nettestIPv6() {
		f("tcp6", "[::1]:0")
	}
	if _, err := Listen("unix", t.TempDir()+"/s", Options{}); err == nil {
		t.Error("a socket of another family was taken")
	}
	ln := listen(t)
	if _, err := Listen("tcp", ln.Addr().String(), Options{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a port in use: %v", err)
	}
}

func nettestIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		ln.Close()
	}
	return err == nil
}

// starved makes this test program a server that has few descriptors.
const starved = "EPOLL_TEST_STARVED"

// serveStarved says hello to each connection and closes it when the client has.
func serveStarved() {
	ln, err := Listen("tcp", "127.0.0.1:0", Options{})
	if err != nil {
		fmt.Println("listen:", err)
		return
	}
	limit := unix.Rlimit{Cur: 24, Max: 24}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Println("setrlimit:", err)
		return
	}
	fmt.Println(ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			fmt.Println("accept:", err)
			return
		}
		go func() {
			defer c.Close()
			c.Write([]byte("hello"))
			c.Read(make([]byte, 1))
		}()
	}
}

// More clients come than there are descriptors: those who wait are served once
// others have left.
func TestAcceptOutlivesAShortageOfDescriptors(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starved+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := make([]byte, 100)
	n, err := out.Read(line)
	addr := strings.TrimSpace(string(line[:n]))
	if err != nil || strings.Count(addr, ":") != 1 {
		t.Fatalf("server: %q, %v", addr, err)
	}
	const clients = 40
	var conns []net.Conn
	for range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	// The kernel has taken all of them; the server cannot have.
	conns[clients-1].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conns[clients-1].Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the last of %d clients: %v; does the limit hold?", clients, err)
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Fatalf("client %d: %q, %v", i, b, err)
		}
		c.Close()
	}
}
