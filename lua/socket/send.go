package socket

import (
	"math"
	"net"
	"syscall"

	"sluice/lua/vm"
)

// payload turns the argument of send into bytes: strings, numbers, nil,
// booleans, and tables of strings and numbers, nested as they may be.
func payload(t *vm.Thread, arg int) []byte {
	v := t.Arg(arg)
	switch v.Type() {
	case vm.TypeNil:
		return []byte("nil")
	case vm.TypeBoolean:
		if v.Truthy() {
			return []byte("true")
		}
		return []byte("false")
	case vm.TypeString, vm.TypeNumber:
		s, _ := v.ToStringValue()
		return []byte(s)
	case vm.TypeTable:
		got := collected{t: t}
		appendTable(t, arg, v.AsTable(), &got, 0)
		return got.data
	}
	t.ArgError(arg, "string, number, boolean, nil, or array table expected, got "+v.Type().String())
	return nil
}

const maxNested = 200

func appendTable(t *vm.Thread, arg int, tab *vm.Table, dst *collected, depth int) {
	if depth > maxNested {
		t.ArgError(arg, "table nested too deeply")
	}
	top := 0.0
	for k, _, ok, _ := tab.Next(vm.Nil); ok; k, _, ok, _ = tab.Next(k) {
		n, isNumber := k.AsNumber()
		if !isNumber || n < 1 || math.Floor(n) != n {
			t.ArgError(arg, "non-array table found")
		}
		top = max(top, n)
	}
	t.State().ChargeInstructions(t, 8+int64(top)>>2) // a table may be in here many times over
	for i := 1; float64(i) <= top; i++ {
		switch v := tab.GetInt(i); v.Type() {
		case vm.TypeString, vm.TypeNumber:
			s, _ := v.ToStringValue()
			dst.data = append(dst.data, s...)
			dst.account()
		case vm.TypeTable:
			appendTable(t, arg, v.AsTable(), dst, depth+1)
		default:
			t.ArgError(arg, "bad data type "+v.Type().String()+" found")
		}
	}
}

func send(t *vm.Thread) int {
	if n := t.NArgs(); n != 2 {
		t.Errorf("expecting 2 arguments (including the object), but got %d", n)
	}
	s := sockOf(t)
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, false, true)
		return 2
	}
	if s.conn == nil || s.writeClosed {
		return s.gone(t, "send")
	}
	s.own(t)
	if s.busy(t, false, true) {
		return 2
	}
	data := payload(t, 2)
	if len(data) == 0 {
		t.PushNumber(0)
		return 1
	}
	t.State().Charge(t, int64(len(data)))
	conn := s.conn
	deadline := s.lib.until(t, s.sendTimeout, s.lib.pools.cfg.SendTimeout)
	conn.SetWriteDeadline(deadline)
	sent, err := writeNow(conn, data)
	if err == nil && sent < len(data) {
		s.block(t, &s.writing, func() { _, err = conn.Write(data[sent:]) })
		if s.conn == nil {
			return no(t, errClosed)
		}
	}
	if err == nil {
		t.PushNumber(float64(len(data)))
		return 1
	}
	p := plain(err)
	switch {
	case p == errTimeout:
		s.ft = ftTimeout
		s.lib.log(t, LevelError, "lua tcp socket write timed out")
	case p == errClosed:
		s.ft = ftClosed
	default:
		s.ft = ftError
		if errno(err) != 0 {
			s.lib.log(t, LevelError, failed("send()", err))
		}
	}
	s.closeWrite()
	return no(t, p)
}

// writeNow writes what the system takes at once, which is nearly always all:
// then no other light thread needs to be let in.
func writeNow(c net.Conn, data []byte) (n int, err error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var got error
	err = raw.Write(func(fd uintptr) bool {
		n, got = syscall.Write(int(fd), data)
		return true
	})
	if err == nil {
		err = got
	}
	if n < 0 {
		n = 0
	}
	if err == syscall.EAGAIN || err == syscall.EINTR {
		err = nil
	}
	return n, err
}
