package socket

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"sluice/lua/vm"
)

// Install sets ngx.socket in ngx: tcp, stream, connect, udp.
func Install(ngx *vm.Table, host Host, pools *Pools) {
	l := &library{host: host, pools: pools}
	l.meta = methods(map[string]vm.GoFunc{
		"connect": l.connect, "sslhandshake": sslHandshake, "send": send, "receive": receive, "receiveany": receiveAny, "receiveuntil": receiveUntil,
		"settimeout": setTimeout, "settimeouts": setTimeouts, "setkeepalive": setKeepalive, "getreusedtimes": getReused,
		"close": closeSock, "shutdown": shutdown, "bind": bind, "setoption": setOption, "getoption": getOption,
	})
	l.udp = methods(l.udpMethods())
	s := vm.NewTable(0, 8)
	def := func(name string, f vm.GoFunc) { s.SetStr(name, vm.NewFunc(name, f)) }
	def("tcp", l.tcp)
	def("stream", l.tcp)
	def("udp", l.newUDP)
	def("connect", l.shortcut)
	ngx.SetStr("socket", s.Value())
	l.installBody(ngx)
}

func methods(m map[string]vm.GoFunc) *vm.Table {
	index := vm.NewTable(0, len(m))
	for name, f := range m {
		index.SetStr(name, vm.NewFunc(name, f))
	}
	meta := vm.NewTable(0, 1)
	meta.SetStr("__index", index.Value())
	return meta
}

func (l *library) newSock() *vm.Table {
	tab := vm.NewTable(1, 0)
	tab.SetInt(1, vm.NewUserdata(&sock{lib: l}, nil).Value())
	tab.SetMetatable(l.meta)
	return tab
}

func (l *library) tcp(t *vm.Thread) int {
	if n := t.NArgs(); n != 0 {
		t.Errorf("expecting zero arguments, but got %d", n)
	}
	l.phases(t)
	t.Push(l.newSock().Value())
	return 1
}

// shortcut is ngx.socket.connect: a new socket, connected.
func (l *library) shortcut(t *vm.Thread) int {
	l.phases(t)
	tab := l.newSock()
	connect := l.meta.GetStr("__index").AsTable().GetStr("connect")
	args := []vm.Value{tab.Value()}
	for i := 1; i <= t.NArgs(); i++ {
		args = append(args, t.Arg(i))
	}
	got := t.MustCall(connect, args...)
	if len(got) > 0 && got[0].Truthy() {
		t.Push(tab.Value())
		return 1
	}
	for _, v := range got {
		t.Push(v)
	}
	return len(got)
}

// timeoutArg reads milliseconds; zero means the default.
func timeoutArg(t *vm.Thread, i int) time.Duration {
	f, _ := t.Arg(i).ToNumber()
	if f <= -1 || f >= 1<<31 || f != f {
		t.Errorf("bad timeout value")
	}
	return time.Duration(f) * time.Millisecond
}

func setTimeout(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("ngx.socket settimeout: expecting 2 arguments (including the object) but seen %d", n)
	}
	s, d := sockOf(t), timeoutArg(t, 2)
	s.connectTimeout, s.sendTimeout, s.readTimeout = d, d, d
	return 0
}

func setTimeouts(t *vm.Thread) int {
	if n := t.NArgs(); n != 4 {
		t.Errorf("ngx.socket settimeouts: expecting 4 arguments (including the object) but seen %d", n)
	}
	s := sockOf(t)
	c, w, r := timeoutArg(t, 2), timeoutArg(t, 3), timeoutArg(t, 4)
	s.connectTimeout, s.sendTimeout, s.readTimeout = c, w, r
	return 0
}

// shut tells that there is no connection to speak of.
func (s *sock) shut() bool { return s.conn == nil || s.readClosed && s.writeClosed }

func closeSock(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("expecting 1 argument (including the object) but seen %d", n)
	}
	s := sockOf(t)
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, true, true)
		return 2
	}
	if s.shut() {
		return no(t, errClosed)
	}
	s.own(t)
	if s.busy(t, true, true) {
		return 2
	}
	s.finalize()
	return one(t)
}

func getReused(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("expecting 1 argument (including the object), but got %d", n)
	}
	s := sockOf(t)
	if s.shut() && !s.connecting {
		return no(t, errClosed)
	}
	t.PushNumber(float64(s.reused))
	return 1
}

func setKeepalive(t *vm.Thread) int {
	n := t.NArgs()
	if n < 1 || n > 3 {
		t.Errorf("expecting 1 to 3 arguments (including the object), but got %d", n)
	}
	s := sockOf(t)
	cfg := s.lib.pools.cfg
	keep, size := cfg.KeepaliveTimeout, cfg.PoolSize
	if !t.Arg(2).IsNil() {
		keep = time.Duration(t.CheckNumber(2)) * time.Millisecond
	}
	if !t.Arg(3).IsNil() {
		size = t.CheckInt(3)
	}
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, true, true)
		return 2
	}
	if s.conn == nil || s.readClosed || s.writeClosed || s.eof {
		return no(t, errClosed)
	}
	s.own(t)
	if s.busy(t, true, true) {
		return 2
	}
	if s.w > s.r {
		return no(t, errUnread)
	}
	if s.pool == nil && size <= 0 && !s.lib.pools.exists(s.key) {
		t.ArgError(n, fmt.Sprintf(`bad "pool_size" option value: %d`, size))
	}
	switch err := alive(s.conn); err {
	case nil:
	case errDubious:
		s.finalize()
		return no(t, err)
	default:
		return no(t, err)
	}
	c := &idle{conn: s.conn, reused: s.reused, session: s.session}
	s.conn.SetDeadline(time.Time{})
	counted := s.pool
	s.conn, s.pool = nil, nil
	s.finalize()
	s.lib.pools.put(s.key, c, counted, size, keep)
	return one(t)
}

// shutdown ends the sending direction.
func shutdown(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("ngx.socket shutdown: expecting 2 arguments (including the object) but seen %d", n)
	}
	s := sockOf(t)
	how := t.CheckString(2)
	if how != "send" {
		t.ArgError(2, "unknown shutdown option: "+how)
	}
	if s.conn == nil || s.writeClosed {
		return no(t, errClosed)
	}
	s.own(t)
	if s.busy(t, false, true) {
		return 2
	}
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil {
			return no(t, plain(err))
		}
	}
	s.closeWrite()
	return one(t)
}

func bind(t *vm.Thread) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		t.Errorf("expecting 2 or 3 arguments, but got %d", n)
	}
	s := sockOf(t)
	s.lib.phases(t)
	ip := net.ParseIP(t.CheckString(2))
	if ip == nil {
		return no(t, errBadPeer)
	}
	s.local = ip
	t.PushBool(true)
	return 1
}

// options maps names to setsockopt's numbers.
var options = map[string][2]int{
	"keepalive":   {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
	"reuseaddr":   {syscall.SOL_SOCKET, syscall.SO_REUSEADDR},
	"tcp-nodelay": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
	"sndbuf":      {syscall.SOL_SOCKET, syscall.SO_SNDBUF},
	"rcvbuf":      {syscall.SOL_SOCKET, syscall.SO_RCVBUF},
}

// control runs f on the socket's descriptor; problem is for the script.
func (s *sock) control(t *vm.Thread, f func(fd int, opt [2]int) error) (problem string) {
	if !s.used {
		t.Errorf("socket is never created nor connected")
	}
	if t.Arg(2).IsNil() {
		return `missing the "option" argument`
	}
	name := t.ToString(t.Arg(2))
	opt, ok := options[name]
	if !ok {
		return "unsupported option " + name
	}
	c, ok := transport(s.conn).(syscall.Conn)
	if !ok {
		return "closed"
	}
	raw, err := c.SyscallConn()
	if err == nil {
		ctl := raw.Control(func(fd uintptr) { err = f(int(fd), opt) })
		if ctl != nil {
			err = ctl
		}
	}
	if err != nil {
		return plain(err).Error()
	}
	return ""
}

func setOption(t *vm.Thread) int {
	s := sockOf(t)
	if s.used && !t.Arg(2).IsNil() && t.Arg(3).IsNil() {
		return noText(t, `missing the "value" argument`)
	}
	value, ok := t.Arg(3).ToNumber()
	if !ok && t.Arg(3).Truthy() {
		value = 1
	}
	if problem := s.control(t, func(fd int, opt [2]int) error {
		return syscall.SetsockoptInt(fd, opt[0], opt[1], int(value))
	}); problem != "" {
		return noText(t, problem)
	}
	t.PushBool(true)
	return 1
}

func getOption(t *vm.Thread) int {
	s := sockOf(t)
	value := 0
	if problem := s.control(t, func(fd int, opt [2]int) (err error) {
		value, err = syscall.GetsockoptInt(fd, opt[0], opt[1])
		return err
	}); problem != "" {
		return noText(t, problem)
	}
	t.PushNumber(float64(value))
	return 1
}

func noText(t *vm.Thread, msg string) int {
	t.PushNil()
	t.PushString(msg)
	return 2
}
