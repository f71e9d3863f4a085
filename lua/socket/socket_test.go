package socket

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/lua/vm"
)

// host runs everything on the calling goroutine.
type host struct {
	logs    []string
	ends    []func()
	request any
	phase   string
}

func (h *host) Block(_ *vm.Thread, f func())  { f() }
func (h *host) Deadline(*vm.Thread) time.Time { return time.Time{} }
func (h *host) Log(_ *vm.Thread, level int, msg string) {
	h.logs = append(h.logs, fmt.Sprint(level, " ", msg))
}
func (h *host) Request(*vm.Thread) any              { return h.request }
func (h *host) Phase(*vm.Thread) string             { return h.phase }
func (h *host) AtEnd(_ *vm.Thread, f func()) func() { h.ends = append(h.ends, f); return func() {} }

// listen serves each connection with f.
func listen(t testing.TB, network, addr string, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return l.Addr().String()
}

// run runs a chunk that returns strings, and joins them; errors give their
// text. In the chunk, ngx.socket is socket and addr is split in ip and port.
func run(t testing.TB, h *host, p *Pools, addr, source string) string {
	t.Helper()
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, h, p)
	s.Globals().SetStr("socket", ngx.GetStr("socket"))
	if ip, port, err := net.SplitHostPort(addr); err == nil {
		s.Globals().SetStr("ip", vm.String(ip))
		s.Globals().SetStr("port", vm.String(port))
	}
	s.Globals().SetStr("addr", vm.String(addr))
	proto, err := vm.Compile("=t", source)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(proto, s.Globals()))
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, v := range vals {
		out = append(out, s.Main().ToString(v))
	}
	return strings.Join(out, "|")
}

// say sends text and closes.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		c.Close()
	}
}

func echo(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, line)
	}
}

const connected = "local s = socket.tcp() assert(s:connect(ip, port)) "

func TestReceive(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{BufferSize: 3})
	addr := listen(t, "tcp", "127.0.0.1:0", say("one\r\ntwo\nthree"))
	f := func(source, want string) {
		t.Helper()
		if got := run(t, h, p, addr, connected+source); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
	f(`return s:receive(), s:receive("*l"), s:receive()`, "one|two|nil|closed|three")
	f(`return s:receive("*a"), s:receive("*a"), s:close(), s:close()`, "one\r\ntwo\nthree||1|nil|closed")
	f(`return s:receive(4), s:receive("3"), s:receive(0), s:receive(100)`, "one\r|\ntw||nil|closed|o\nthree")
	f(`local r = {} while true do local d, e, x = s:receiveany(10) if not d then r[#r+1] = e .. x break end r[#r+1] = d end return table.concat(r)`, "one\r\ntwo\nthreeclosed")
	f(`s:receive("*a") s:receive() return s:receive()`, "nil|closed")
	f(`return (s:receive("*x"))`, "t:1: bad argument #1 to 'receive' (bad pattern argument)")
	f(`return (s:receive("abc"))`, "t:1: bad argument #1 to 'receive' (bad pattern argument: abc)")
	f(`return (s:receive(-1))`, "t:1: bad argument #1 to 'receive' (bad number argument)")
	f(`return (s:receive({}))`, "t:1: bad argument #1 to 'receive' (bad argument)")
	f(`return (s:receive(1, 2))`, "t:1: expecting 1 or 2 arguments (including the object), but got 3")
	f(`return (s:receiveany(0))`, "t:1: bad argument #1 to 'receiveany' (bad max argument)")
	f(`return (s.receive())`, "t:1: expecting 1 or 2 arguments (including the object), but got 0")
	f(`return (s.receive(nil))`, "t:1: bad argument #1 to 'receive' (table expected, got nil)")
}

func TestReceiveUntil(t *testing.T) {
	f := func(text, source, want string) {
		t.Helper()
		addr := listen(t, "tcp", "127.0.0.1:0", say(text))
		for _, size := range []int{1, 2, 4096} {
			got := run(t, &host{request: 1}, NewPools(Config{BufferSize: size}), addr, connected+source)
			if got != want {
				t.Errorf("buffer %d: %s\n got %q\nwant %q", size, source, got, want)
			}
		}
	}
	f("abcabcabd\n", `return s:receiveuntil("abcabd")(), s:receive()`, "abc|")
	f("abaabcaaaef\n", `return s:receiveuntil("aaa")(), s:receive()`, "abaabc|ef")
	f("baaaaaaaaeaaaaaaadf\n", `return s:receiveuntil("aaaaad")(), s:receive()`, "baaaaaaaaeaa|f")
	f("ababcabdabcabe\n", `return s:receiveuntil("abcabdabcabe")()`, "ab")
	f("----abc\n", `return s:receiveuntil("--abc")()`, "--")
	f("hello, world ----abc\n", `local r = s:receiveuntil("--abc") return r(4), r(4), r(4), r(4), r(4), r(1), s:receive()`, "hell|o, w|orld| --|nil|\n|nil|closed|")
	f("abcabcabd", `return s:receiveuntil("abcabd", {inclusive = true})()`, "abcabcabd")
	f("hello", `return s:receiveuntil("--")()`, "nil|closed|hello")
	f("x", `return s:receiveuntil("")`, "nil|pattern is empty")
	f("x", `return (s:receiveuntil("a", {inclusive = "true"}))`, `t:1: bad "inclusive" option value type: string`)
}

func TestSend(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	addr := listen(t, "tcp", "127.0.0.1:0", echo)
	f := func(source, want string) {
		t.Helper()
		if got := run(t, h, p, addr, connected+source); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
	f(`return s:send({"a", {1.5, {"b"}}, "\n"}), s:receive()`, "6|a1.5b")
	f(`return s:send(3.14159265357942), s:send(""), s:send(nil), s:send("\n"), s:receive()`, "15|0|3|1|3.1415926535794nil")
	f(`return (s:send({a = 1}))`, "t:1: bad argument #1 to 'send' (non-array table found)")
	f(`return (s:send({true}))`, "t:1: bad argument #1 to 'send' (bad data type boolean found)")
	f(`return (s:send(print))`, "t:1: bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, got function)")
	f(`return (s:send())`, "t:1: expecting 2 arguments (including the object), but got 1")
	f(`s:close() return s:send("x")`, "nil|closed")
	f(`return s:shutdown("send"), s:send("x")`, "1|nil|closed")
}

func TestConnectErrors(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{ConnectTimeout: 50 * time.Millisecond})
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	f := func(source, want, logged string) {
		t.Helper()
		h.logs = nil
		if got := run(t, h, p, addr, "local s = socket.tcp() "+source); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
		if logged != "" && (len(h.logs) == 0 || h.logs[0] != logged) {
			t.Errorf("logged %q, want %q", h.logs, logged)
		}
	}
	f(`return s:connect(ip, port)`, "nil|connection refused", "4 connect() failed (111: Connection refused)")
	f(`return s:connect("unix:/nosuch.sock")`, "nil|no such file or directory", "3 connect() to unix:/nosuch.sock failed (2: No such file or directory)")
	f(`return s:connect("127.0.0.1")`, "nil|missing the port number", "")
	f(`return s:connect("127.0.0.1", 65536)`, "nil|bad port number: 65536", "")
	f(`return s:connect("", 80)`, `nil|failed to parse host name "": no host`, "")
	f(`return (s:connect())`, "t:1: ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen 1", "")
	f(`return (s:connect(ip, port, {pool_size = "x"}))`, `t:1: bad argument #3 to 'connect' (bad "pool_size" option type: string)`, "")
	f(`return s:receive()`, "nil|closed", "4 attempt to receive data on a closed socket: u:0000000000000000, c:0000000000000000, ft:0 eof:0")
	f(`return s:send("x")`, "nil|closed", "4 attempt to send data on a closed socket: u:0000000000000000, c:0000000000000000, ft:0 eof:0")
	f(`return s:close()`, "nil|closed", "")
	f(`return s:getreusedtimes()`, "nil|closed", "")
	f(`return s:setkeepalive()`, "nil|closed", "")
	f(`return socket.connect(ip, port)`, "nil|connection refused", "")
	f(`return (s:settimeout(-1))`, "t:1: bad timeout value", "")
	f(`return (s:settimeouts(1, 2))`, "t:1: ngx.socket settimeouts: expecting 4 arguments (including the object) but seen 3", "")
	f(`return s:bind("x")`, "nil|bad address", "")
	h.request, h.phase = nil, "log"
	f(`return (socket.tcp())`, "t:1: API disabled in the context of log_by_lua*", "")
}

func TestATimeoutLeavesTheSocketOpen(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	addr := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		io.WriteString(c, "par")
		echo(c)
	})
	got := run(t, h, p, addr, connected+`s:settimeout(700) local a, b, c = s:receive() s:send("x\n") return a, b, c, s:receive()`)
	if got != "nil|timeout|par|x" {
		t.Error(got)
	}
	if len(h.logs) != 1 || h.logs[0] != "4 lua tcp socket read timed out" {
		t.Error(h.logs)
	}
}

func TestUnixSocketsAndTheShortcut(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	path := filepath.Join(t.TempDir(), "s.sock")
	listen(t, "unix", path, echo)
	got := run(t, h, p, path, `local s = socket.connect("unix:" .. addr) s:send("hi\n") return s:receive(), s:setkeepalive(), socket.tcp():connect("unix:" .. addr, 0)`)
	if got != "hi|1|1" {
		t.Error(got)
	}
}

func TestKeepalive(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{PoolSize: 2})
	addr := listen(t, "tcp", "127.0.0.1:0", echo)
	f := func(source, want string) {
		t.Helper()
		if got := run(t, h, p, addr, connected+source); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
	f(`return s:getreusedtimes(), s:setkeepalive()`, "0|1")
	f(`local n = s:getreusedtimes() s:send("x\n") return n, s:receive(), s:setkeepalive(), s:send("x")`, "1|x|1|nil|closed")
	f(`s:send("xy\n") s:receive(1) return s:setkeepalive()`, "nil|unread data in buffer")
	f(`return s:getreusedtimes(), s:setkeepalive(0, 5)`, "0|1")
	if n := p.Idle(addr); n != 1 {
		t.Errorf("%d idle", n)
	}
	f(`local a, b = socket.connect(ip, port), socket.connect(ip, port) return s:setkeepalive(), a:setkeepalive(), b:setkeepalive()`, "1|1|1")
	if n := p.Idle(addr); n != 2 {
		t.Errorf("%d idle, the pool holds 2", n)
	}
	f(`return (s:setkeepalive("x"))`, "t:1: bad argument #1 to 'setkeepalive' (number expected, got string)")
	f(`s:connect(ip, port, {pool = "mine"}) s:setkeepalive(10) return 1`, "1")
	for i := 0; p.Idle("mine") > 0 && i < 200; i++ {
		time.Sleep(5 * time.Millisecond)
	}
	if n := p.Idle("mine"); n != 0 {
		t.Error("an idle connection outlives its time")
	}
	p.Close()
}

func TestADeadIdleConnectionIsNotReused(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	var mu sync.Mutex
	var conns []net.Conn
	addr := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		echo(c)
	})
	if got := run(t, h, p, addr, connected+`s:send("x\n") s:receive() return s:setkeepalive()`); got != "1" {
		t.Fatal(got)
	}
	mu.Lock()
	conns[0].Close()
	mu.Unlock()
	for i := 0; i < 5000 && alive(p.byKey[addr].idle.Front().Value.(*idle).conn) == nil; i++ {
		time.Sleep(5 * time.Millisecond)
	}
	if got := run(t, h, p, addr, connected+`return s:getreusedtimes()`); got != "0" {
		t.Error(got)
	}
}

func TestAFullPoolMakesConnectWaitOrFail(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	addr := listen(t, "tcp", "127.0.0.1:0", echo)
	got := run(t, h, p, addr, `
local opts = {pool_size = 1, backlog = 0}
local a, b = socket.tcp(), socket.tcp()
assert(a:connect(ip, port, opts))
local _, e1 = b:connect(ip, port, opts)
a:setkeepalive()
assert(b:connect(ip, port, opts))
local n = b:getreusedtimes()
b:close()
assert(a:connect(ip, port, opts))
return e1, n, a:getreusedtimes()`)
	if got != "too many waiting connect operations|1|0" {
		t.Error(got)
	}
	got = run(t, h, p, addr, `
local opts = {pool_size = 1, backlog = 1, pool = "w"}
local a, b = socket.tcp(), socket.tcp()
assert(a:connect(ip, port, opts))
b:settimeout(20)
local _, e1 = b:connect(ip, port, opts)
a:close()
b:settimeout(9000)
return e1, b:connect(ip, port, opts)`)
	if got != "timeout|1" {
		t.Error(got)
	}
	// Waiting in another goroutine, as another VM would.
	a := &sock{lib: &library{host: h, pools: p}}
	pl := p.join("k", 1, 1)
	p.take(pl, false)
	done := make(chan bool)
	_, wait, _ := p.take(pl, false)
	go func() { done <- a.wait(nil, pl, wait, time.Now().Add(5*time.Second)) }()
	p.leave(pl)
	if !<-done {
		t.Error("the waiting connect was not woken")
	}
}

func TestTheEndOfTheRequestClosesItsSockets(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	closed := make(chan struct{})
	addr := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		io.Copy(io.Discard, c)
		close(closed)
	})
	run(t, h, p, addr, connected)
	for _, f := range h.ends {
		f()
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("still open")
	}
}

func TestASocketBelongsToItsRequest(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	addr := listen(t, "tcp", "127.0.0.1:0", echo)
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, h, p)
	ip, port, _ := net.SplitHostPort(addr)
	vals, err := s.Call(ngx.GetStr("socket").AsTable().GetStr("connect"), vm.String(ip), vm.String(port))
	if err != nil {
		t.Fatal(err)
	}
	h.request = 2
	send := vals[0].AsTable().Metatable().GetStr("__index").AsTable().GetStr("send")
	if _, err := s.Call(send, vals[0], vm.String("x")); err == nil || !strings.Contains(err.Error(), "bad request") {
		t.Error(err)
	}
}

func TestUDP(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{})
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo(b[:n], from)
		}
	}()
	got := run(t, h, p, c.LocalAddr().String(), `local s = socket.udp() s:settimeout(9000)
return s:setpeername(ip, port), s:send({"a", "b"}), s:receive(), s:close(), s:close()`)
	if got != "1|1|ab|1|nil|closed" {
		t.Error(got)
	}
	l, _ := net.ListenPacket("udp", "127.0.0.1:0")
	addr := l.LocalAddr().String()
	l.Close()
	got = run(t, h, p, addr, `local s = socket.udp() s:settimeout(9000) s:setpeername(ip, port) s:send("x") return s:receive()`)
	if got != "nil|connection refused" || len(h.logs) == 0 || h.logs[len(h.logs)-1] != "4 recv() failed (111: Connection refused)" {
		t.Error(got, h.logs)
	}
}

// The pattern is found wherever the pieces end, and nothing is lost.
func FuzzUntil(f *testing.F) {
	f.Add("abcabcabd", "abcabd", 3, 2, true)
	f.Add("----abc--", "--abc", 1, 0, false)
	f.Fuzz(func(t *testing.T, text, pattern string, piece, size int, inclusive bool) {
		if pattern == "" || piece <= 0 || size < 0 {
			return
		}
		u := newUntil(pattern, inclusive)
		var all []byte
		var found, done bool
		left := text
		for left != "" && !found {
			rest := size
			var out []byte
			for left != "" && !done {
				var n int
				n, out, done, found = u.feed([]byte(left[:min(piece, len(left))]), out, &rest)
				left = left[n:]
			}
			all = append(all, out...)
			done = false
		}
		if !found {
			return
		}
		consumed := text[:len(text)-len(left)]
		want := strings.TrimSuffix(consumed, pattern)
		if inclusive {
			want = consumed
		}
		if string(all) != want || !strings.HasSuffix(consumed, pattern) {
			t.Fatalf("%q until %q: got %q, left %q", text, pattern, all, left)
		}
	})
}

// nowhere resolves nothing.
type nowhere struct{}

func (nowhere) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func TestNamesAreResolved(t *testing.T) {
	h, p := &host{request: 1}, NewPools(Config{Resolver: nowhere{}})
	if got := run(t, h, p, "", `return socket.tcp():connect("nosuch.example", 80)`); got != "nil|nosuch.example could not be resolved (3: Host not found)" {
		t.Error(got)
	}
	addr := listen(t, "tcp", "127.0.0.1:0", echo)
	p = NewPools(Config{})
	if got := run(t, h, p, addr, `return socket.tcp():connect("localhost", port)`); got != "1" {
		t.Error(got)
	}
}
