package socket

import (
	"net"
	"time"

	"sluice/lua/vm"
)

// BodyHost is a Host that can also give the body of the current request;
// Install then sets ngx.req.socket, too.
type BodyHost interface {
	Host
	// RequestBody hands over the request's body, unread so far. Its errors are
	// for the script: "no body", "request body already exists", "chunked request
	// bodies not supported yet", "duplicate call".
	RequestBody(t *vm.Thread) ([]byte, error)
}

// installBody sets ngx.req.socket: a socket that only reads, from the body.
func (l *library) installBody(ngx *vm.Table) {
	h, ok := l.host.(BodyHost)
	req := ngx.GetStr("req").AsTable()
	if !ok || req == nil {
		return
	}
	meta := methods(map[string]vm.GoFunc{
		"receive": receive, "receiveany": receiveAny, "receiveuntil": receiveUntil,
		"settimeout": setTimeout, "settimeouts": setTimeouts,
	})
	req.SetStr("socket", vm.NewFunc("socket", func(t *vm.Thread) int {
		if n := t.NArgs(); n > 1 {
			t.Errorf("expecting 0 or 1 argument, but got %d", n)
		}
		request := l.phases(t)
		if t.ToBool(1) {
			return noText(t, "raw request sockets are not supported")
		}
		body, err := h.RequestBody(t)
		if err != nil {
			return no(t, err)
		}
		s := &sock{lib: l, request: request, used: true, conn: noConn{}, buf: body, w: len(body), eof: true}
		tab := vm.NewTable(1, 0)
		tab.SetInt(1, vm.NewUserdata(s, nil).Value())
		tab.SetMetatable(meta)
		t.Push(tab.Value())
		return 1
	}))
}

// noConn stands for the connection of a body that is there already.
type noConn struct{}

func (noConn) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (noConn) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (noConn) Close() error                     { return nil }
func (noConn) LocalAddr() net.Addr              { return nil }
func (noConn) RemoteAddr() net.Addr             { return nil }
func (noConn) SetDeadline(time.Time) error      { return nil }
func (noConn) SetReadDeadline(time.Time) error  { return nil }
func (noConn) SetWriteDeadline(time.Time) error { return nil }
