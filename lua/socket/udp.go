package socket

import (
	"fmt"
	"math"
	"net"
	"time"

	"sluice/lua/vm"
)

// udpSock is a UDP (or unix datagram) cosocket.
type udpSock struct {
	lib       *library
	timeout   time.Duration
	local     net.IP
	conn      net.Conn
	request   any
	cancelEnd func()
	busy      bool
}

// maxDatagram is the most a UDP socket receives at once.
const maxDatagram = 65536

func (l *library) newUDP(t *vm.Thread) int {
	if n := t.NArgs(); n != 0 {
		t.Errorf("expecting zero arguments, but got %d", n)
	}
	l.phases(t)
	tab := vm.NewTable(1, 0)
	tab.SetInt(1, vm.NewUserdata(&udpSock{lib: l}, nil).Value())
	tab.SetMetatable(l.udp)
	t.Push(tab.Value())
	return 1
}

func (l *library) udpMethods() map[string]vm.GoFunc {
	return map[string]vm.GoFunc{
		"setpeername": l.setPeername, "send": udpSend, "receive": udpReceive, "settimeout": udpTimeout, "close": udpClose, "bind": udpBind,
	}
}

func udpOf(t *vm.Thread) *udpSock {
	u := t.CheckTable(1).GetInt(1).AsUserdata()
	if u != nil {
		if s, ok := u.Data.(*udpSock); ok {
			return s
		}
	}
	t.ArgError(1, "socket expected")
	return nil
}

func (s *udpSock) finalize() {
	if s.cancelEnd != nil {
		s.cancelEnd()
		s.cancelEnd = nil
	}
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *udpSock) block(t *vm.Thread, f func()) {
	s.busy = true
	back := false
	defer func() {
		s.busy = false
		if !back {
			s.finalize()
		}
	}()
	s.lib.host.Block(t, f)
	back = true
}

func (l *library) setPeername(t *vm.Thread) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		t.Errorf("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen %d", n)
	}
	request := l.phases(t)
	s := udpOf(t)
	host := t.CheckString(2)
	port := 0
	if _, unix := cutUnix(host); !unix {
		port = t.CheckInt(3)
		if port < 0 || port > 65535 {
			return no(t, fmt.Errorf("bad port number: %d", port))
		}
	}
	if (s.conn != nil || s.busy) && s.request != request {
		t.Errorf("bad request")
	}
	if s.busy {
		return noText(t, "socket busy")
	}
	s.finalize()
	s.request = request
	to, err := parseTarget(host, port)
	if err != nil {
		return no(t, err)
	}
	deadline := l.until(t, s.timeout, l.pools.cfg.ConnectTimeout)
	var d dialing
	returned := false
	defer func() {
		if !returned {
			d.abandon()
		}
	}()
	local := s.local
	s.block(t, func() { d.done(l.pools.dial(to, true, local, deadline)) })
	returned = true
	if d.err != nil {
		return no(t, plain(d.err))
	}
	s.conn = d.conn
	s.cancelEnd = l.host.AtEnd(t, func() {
		s.cancelEnd = nil
		s.finalize()
	})
	return one(t)
}

// ready checks what send and receive have in common.
func (s *udpSock) ready(t *vm.Thread, what string) (answers int, ok bool) {
	if s.conn == nil {
		s.lib.log(t, LevelError, fmt.Sprintf("attempt to %s data on a closed socket: u:%016X, c:0000000000000000", what, pointer(s)))
		return no(t, errClosed), false
	}
	if s.request != s.lib.host.Request(t) {
		t.Errorf("bad request")
	}
	if s.busy {
		return noText(t, "socket busy"), false
	}
	return 0, true
}

func udpSend(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("expecting 2 arguments (including the object), but got %d", n)
	}
	s := udpOf(t)
	if answers, ok := s.ready(t, "send"); !ok {
		return answers
	}
	data := payload(t, 2)
	// A datagram goes out or not, but does not wait.
	_, err := s.conn.Write(data)
	if err != nil {
		return no(t, s.failed(t, "send()", err))
	}
	return one(t)
}

func (s *udpSock) failed(t *vm.Thread, what string, err error) error {
	if errno(err) != 0 {
		s.lib.log(t, LevelError, failed(what, err))
	}
	return plain(err)
}

func udpReceive(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 arguments (including the object), but got %d", n)
	}
	s := udpOf(t)
	if answers, ok := s.ready(t, "receive"); !ok {
		return answers
	}
	size := 8192
	if n == 2 {
		size = int(min(max(t.CheckNumber(2), 0), math.MaxInt32))
	}
	buf := make([]byte, min(size, maxDatagram))
	conn, deadline := s.conn, s.lib.until(t, s.timeout, s.lib.pools.cfg.ReadTimeout)
	var err error
	s.block(t, func() {
		conn.SetReadDeadline(deadline)
		n, err = conn.Read(buf)
	})
	if err != nil {
		p := s.failed(t, "recv()", err)
		if p == errTimeout {
			s.lib.log(t, LevelError, "lua udp socket read timed out")
		}
		return no(t, p)
	}
	t.State().Charge(t, int64(n))
	t.PushString(string(buf[:n]))
	return 1
}

func udpTimeout(t *vm.Thread) int {
	if n := t.NArgs(); n < 2 {
		t.Errorf("ngx.socket settimeout: expecting at least 2 arguments (including the object) but seen %d", n)
	}
	udpOf(t).timeout = timeoutArg(t, 2)
	return 0
}

func udpBind(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("expecting 2 arguments, but got %d", n)
	}
	s := udpOf(t)
	ip := net.ParseIP(t.CheckString(2))
	if ip == nil {
		return no(t, errBadPeer)
	}
	s.local = ip
	t.PushBool(true)
	return 1
}

func udpClose(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("expecting 1 argument (including the object) but seen %d", n)
	}
	s := udpOf(t)
	if s.conn == nil {
		return no(t, errClosed)
	}
	if s.request != s.lib.host.Request(t) {
		t.Errorf("bad request")
	}
	if s.busy {
		return noText(t, "socket busy")
	}
	s.finalize()
	return one(t)
}
