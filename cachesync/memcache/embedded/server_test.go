package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	gomemcache "github.com/bradfitz/gomemcache/memcache"
	"go.uber.org/goleak"

	"sluice/cachesync/memcache/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg embedded.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := embedded.New(cfg)
	if err := s.Start(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

func TestMemccapablePasses(t *testing.T) {
	tool, err := exec.LookPath("memccapable")
	if err != nil {
		t.Fatal("memccapable is not installed; run: apt-get install -y libmemcached-tools")
	}
	host, port, _ := net.SplitHostPort(start(t, embedded.Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool, "-a", "-h", host, "-p", port).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All tests passed") {
		t.Fatalf("memccapable: %v\n%s", err, out)
	}
}

// talk sends lines and compares all that comes back.
func TestWordsOfMemcached(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	addr := start(t, embedded.Config{Clock: func() time.Time { return now }, MaxLineBytes: 16 << 10})
	f := func(send, want string) {
		t.Helper()
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(nc, "flush_all\r\n"+send+"quit\r\n")
		got, err := io.ReadAll(bufio.NewReader(nc))
		if err != nil {
			t.Fatal(err)
		}
		if s := strings.TrimPrefix(string(got), "OK\r\n"); s != want {
			t.Errorf("%q\n got %q\nwant %q", send, s, want)
		}
	}
	f("get a\r\n", "END\r\n")
	f("set a 5 0 2\r\nhi\r\nget a b a\r\n", "STORED\r\nVALUE a 5 2\r\nhi\r\nVALUE a 5 2\r\nhi\r\nEND\r\n")
	f("add a 0 0 1\r\nx\r\nadd a 0 0 1\r\ny\r\nreplace b 0 0 1\r\nz\r\n", "STORED\r\nNOT_STORED\r\nNOT_STORED\r\n")
	f("set a 1 0 1\r\nb\r\nappend a 9 0 1\r\nc\r\nprepend a 9 0 1\r\na\r\nget a\r\n", "STORED\r\nSTORED\r\nSTORED\r\nVALUE a 1 3\r\nabc\r\nEND\r\n")
	f("append a 0 0 1\r\nx\r\n", "NOT_STORED\r\n")
	f("cas a 0 0 1 7\r\nx\r\n", "NOT_FOUND\r\n")
	f("set a 0 0 1\r\nx\r\ncas a 0 0 1 99999999\r\ny\r\n", "STORED\r\nEXISTS\r\n")
	f("set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 6\r\nget n\r\ndecr n 100\r\nget n\r\n", "STORED\r\n15\r\n9\r\nVALUE n 0 2\r\n9 \r\nEND\r\n0\r\nVALUE n 0 2\r\n0 \r\nEND\r\n")
	f("set n 0 0 20\r\n18446744073709551615\r\nincr n 2\r\n", "STORED\r\n1\r\n")
	f("set n 0 0 1\r\nx\r\nincr n 1\r\nincr n x\r\nincr m 1\r\nincr n\r\n", "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nCLIENT_ERROR invalid numeric delta argument\r\nNOT_FOUND\r\nERROR\r\n")
	f("set a 0 -1 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n")
	f("set a 0 100 1\r\nx\r\ntouch a -1\r\nget a\r\ntouch a 0\r\n", "STORED\r\nTOUCHED\r\nEND\r\nNOT_FOUND\r\n")
	f("set a 0 0 1\r\nx\r\ngat 100 a b\r\ngat x a\r\ngat 100\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nCLIENT_ERROR invalid exptime argument\r\nERROR\r\n")
	f("set a 0 0 1\r\nx\r\ndelete a\r\ndelete a\r\ndelete a 0\r\ndelete a 9\r\n", "STORED\r\nDELETED\r\nNOT_FOUND\r\nNOT_FOUND\r\nCLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n")
	f("set a 0 0 1 noreply\r\nx\r\ndelete a noreply\r\nget a\r\n", "END\r\n")
	f("set a 0 0 1\r\nxy\r\nversion\r\n", "CLIENT_ERROR bad data chunk\r\nVERSION "+embedded.Version+"\r\n")
	f("set a 0 0 -1\r\nset a x 0 1\r\nq\r\nset a\r\n", "CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\nERROR\r\n")
	f("get "+strings.Repeat("k", 251)+"\r\nget "+strings.Repeat("k", 250)+"\r\n", "CLIENT_ERROR bad command line format\r\nEND\r\n")
	f("set a 0 0 1048576\r\n"+strings.Repeat("v", 1<<20)+"\r\nget a\r\n", "SERVER_ERROR object too large for cache\r\nEND\r\n")
	f("nonsense\r\n\r\nget\r\n", "ERROR\r\nERROR\r\nERROR\r\n")
	f("verbosity\r\nverbosity 1\r\nverbosity x\r\n", "ERROR\r\nOK\r\nCLIENT_ERROR bad command line format\r\n")
	f("flush_all x\r\nflush_all noreply\r\nflush_all 0\r\n", "CLIENT_ERROR bad command line format\r\nOK\r\n")
}

func TestItemsExpireAndDelayedFlushComes(t *testing.T) {
	now := make(chan time.Time, 1)
	now <- time.Unix(1_800_000_000, 0)
	clock := func() time.Time { v := <-now; now <- v; return v }
	pass := func(d time.Duration) { v := <-now; now <- v.Add(d) }
	c := gomemcache.New(start(t, embedded.Config{Clock: clock}))
	defer c.Close()
	must(t, c.Set(&gomemcache.Item{Key: "rel", Value: []byte("1"), Expiration: 10}))
	must(t, c.Set(&gomemcache.Item{Key: "abs", Value: []byte("1"), Expiration: 1_800_000_020}))
	must(t, c.Set(&gomemcache.Item{Key: "ever", Value: []byte("1")}))
	pass(10 * time.Second)
	if _, err := c.Get("rel"); err != gomemcache.ErrCacheMiss {
		t.Errorf("relative expiry: %v", err)
	}
	pass(5 * time.Second)
	if _, err := c.Get("abs"); err != nil {
		t.Errorf("absolute expiry too early: %v", err)
	}
	pass(5 * time.Second)
	if _, err := c.Get("abs"); err != gomemcache.ErrCacheMiss {
		t.Errorf("absolute expiry: %v", err)
	}
	if _, err := c.Get("ever"); err != nil {
		t.Error(err)
	}
}

func TestMemoryStaysBoundedAndOldestGoFirst(t *testing.T) {
	c := gomemcache.New(start(t, embedded.Config{MaxBytes: 1 << 20}))
	defer c.Close()
	value := make([]byte, 1000)
	for i := range 3000 {
		must(t, c.Set(&gomemcache.Item{Key: fmt.Sprint("k", i), Value: value}))
		if _, err := c.Get("k0"); err != nil {
			t.Fatalf("a used item was evicted after %d: %v", i, err)
		}
	}
	if _, err := c.Get("k1"); err != gomemcache.ErrCacheMiss {
		t.Errorf("k1: %v, want a miss", err)
	}
	if _, err := c.Get("k2999"); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	addr := start(t, embedded.Config{MaxConns: 1})
	a, _ := net.Dial("tcp", addr)
	defer a.Close()
	io.WriteString(a, "version\r\n")
	bufio.NewReader(a).ReadString('\n')
	b, _ := net.Dial("tcp", addr)
	defer b.Close()
	line, _ := bufio.NewReader(b).ReadString('\n')
	if line != "SERVER_ERROR too many open connections\r\n" {
		t.Errorf("second connection got %q", line)
	}
}

func TestEndlessLineEndsTheConnection(t *testing.T) {
	nc, err := net.Dial("tcp", start(t, embedded.Config{MaxLineBytes: 16 << 10}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "get "+strings.Repeat("k", 16<<10-4))
	nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line, _ := bufio.NewReader(nc).ReadString('\n'); line != "CLIENT_ERROR line too long\r\n" {
		t.Errorf("got %q", line)
	}
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	nc, err := net.Dial("tcp", start(t, embedded.Config{IdleTimeout: 20 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want EOF", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
