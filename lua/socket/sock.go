package socket

import (
	"fmt"
	"io"
	"net"
	"time"

	"sluice/lua/vm"
)

// sock is a TCP cosocket in a script's hands. Its fields change only while
// the VM runs the script, never in a Block; what a Block reads or writes is
// kept apart by the busy flags.
type sock struct {
	lib *library

	// Settings; zero means the configuration's.
	connectTimeout, sendTimeout, readTimeout time.Duration
	local                                    net.IP

	conn        net.Conn
	request     any // whose it is
	cancelEnd   func()
	key         string
	pool        *pool // that counts it
	reused      int
	used        bool // connect was called
	readClosed  bool
	writeClosed bool
	eof         bool
	session     *session // of a TLS connection
	ft          int      // why it failed last, nginx's number

	connecting, reading, writing bool

	buf  []byte
	r, w int
	got  *collected // by a receive under way
}

// Holds is the memory of the buffers: vm.Holder.
func (s *sock) Holds(func(vm.Value)) int64 {
	n := cap(s.buf)
	if s.got != nil {
		n += cap(s.got.data)
	}
	return int64(n)
}

// nginx's failure types, as they stand in log lines.
const (
	ftError   = 0x0001
	ftTimeout = 0x0002
	ftClosed  = 0x0004
)

// library is what the sockets of one VM share.
type library struct {
	host  Host
	pools *Pools
	meta  *vm.Table // of TCP sockets
	udp   *vm.Table
}

func (l *library) log(t *vm.Thread, level int, msg string) {
	if !l.pools.cfg.Quiet {
		l.host.Log(t, level, msg)
	}
}

// block runs f outside the VM; until it returns *busy is set. When the thread
// is killed meanwhile, the connection goes with it.
func (s *sock) block(t *vm.Thread, busy *bool, f func()) {
	*busy = true
	back := false
	defer func() {
		*busy = false
		if !back && s.conn != nil {
			s.finalize()
		}
	}()
	s.lib.host.Block(t, f)
	back = true
}

// until gives the time at which an operation that starts now must end.
func (l *library) until(t *vm.Thread, set, def time.Duration) time.Time {
	if set <= 0 {
		set = def
	}
	at := time.Now().Add(set)
	if d := l.host.Deadline(t); !d.IsZero() && d.Before(at) {
		return d
	}
	return at
}

// finalize closes the connection and forgets it.
func (s *sock) finalize() {
	if s.cancelEnd != nil {
		s.cancelEnd()
		s.cancelEnd = nil
	}
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
		if s.pool != nil {
			s.lib.pools.leave(s.pool)
			s.pool = nil
		}
	}
	s.buf, s.r, s.w = nil, 0, 0
}

// closeRead and closeWrite end one direction after an error; with both ended
// the connection is closed.
func (s *sock) closeRead() {
	s.readClosed = true
	if s.writeClosed {
		s.finalize()
	}
}

func (s *sock) closeWrite() {
	s.writeClosed = true
	if s.readClosed {
		s.finalize()
	}
}

// attach takes a connection into use for the current request.
func (s *sock) attach(t *vm.Thread, c net.Conn, reused int) {
	s.conn, s.reused = c, reused
	s.cancelEnd = s.lib.host.AtEnd(t, func() {
		s.cancelEnd = nil
		s.finalize()
	})
}

// busy answers "socket busy ..." when another light thread is at it.
func (s *sock) busy(t *vm.Thread, reading, writing bool) bool {
	what := ""
	switch {
	case s.connecting:
		what = "connecting"
	case reading && s.reading:
		what = "reading"
	case writing && s.writing:
		what = "writing"
	default:
		return false
	}
	t.PushNil()
	t.PushString("socket busy " + what)
	return true
}

// gone answers "closed" and logs the attempt.
func (s *sock) gone(t *vm.Thread, what string) int {
	u, c := "0000000000000000", "0000000000000000"
	if s.used {
		u = fmt.Sprintf("%016X", pointer(s))
	}
	if s.conn != nil {
		c = fmt.Sprintf("%016X", pointer(s.conn))
	}
	eof := 0
	if s.eof {
		eof = 1
	}
	s.lib.log(t, LevelError, fmt.Sprintf("attempt to %s data on a closed socket: u:%s, c:%s, ft:%d eof:%d", what, u, c, s.ft, eof))
	t.PushNil()
	t.PushString("closed")
	return 2
}

// pointer gives the number of a pointer, for log lines.
func pointer(p any) uint64 {
	var n uint64
	fmt.Sscanf(fmt.Sprintf("%p", p), "0x%x", &n)
	return n
}

// own raises when the socket belongs to another request.
func (s *sock) own(t *vm.Thread) {
	if s.request != s.lib.host.Request(t) {
		t.Errorf("bad request")
	}
}

func no(t *vm.Thread, err error) int {
	t.PushNil()
	t.PushString(err.Error())
	return 2
}

// one answers 1.
func one(t *vm.Thread) int {
	t.PushNumber(1)
	return 1
}

// sockOf finds the socket in the first argument, a table.
func sockOf(t *vm.Thread) *sock {
	u := t.CheckTable(1).GetInt(1).AsUserdata()
	if u != nil {
		if s, ok := u.Data.(*sock); ok {
			return s
		}
	}
	t.ArgError(1, "socket expected")
	return nil
}

// phases raises in phases that cannot wait.
func (l *library) phases(t *vm.Thread) any {
	r := l.host.Request(t)
	if r == nil {
		p := l.host.Phase(t)
		if p == "timer" {
			p = "ngx.timer"
		} else {
			p += "_by_lua*"
		}
		t.Errorf("API disabled in the context of %s", p)
	}
	return r
}

// fill reads more into the buffer.
func (s *sock) fill(t *vm.Thread) error {
	if s.eof {
		return io.EOF
	}
	if s.buf == nil {
		s.buf = make([]byte, s.lib.pools.cfg.BufferSize)
	}
	if s.r == s.w {
		s.r, s.w = 0, 0
	}
	if s.w == len(s.buf) {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	conn, room := s.conn, s.buf[s.w:]
	deadline := s.lib.until(t, s.readTimeout, s.lib.pools.cfg.ReadTimeout)
	var n int
	var err error
	s.block(t, &s.reading, func() {
		conn.SetReadDeadline(deadline)
		n, err = conn.Read(room)
	})
	if s.conn == nil {
		return net.ErrClosed
	}
	s.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if err == io.EOF {
		s.eof = true
	}
	return err
}

// readError answers nil, the error and what had come before it; a timeout
// leaves the socket open.
func (s *sock) readError(t *vm.Thread, err error, partial []byte) int {
	p := plain(err)
	switch p {
	case errTimeout:
		s.ft = ftTimeout
		s.lib.log(t, LevelError, "lua tcp socket read timed out")
	case errClosed:
		s.ft = ftClosed
		s.closeRead()
	default:
		s.ft = ftError
		if errno(err) != 0 {
			s.lib.log(t, LevelError, failed("recv()", err))
		}
		s.closeRead()
	}
	t.PushNil()
	t.PushString(p.Error())
	t.PushString(string(partial))
	return 3
}
