package socket

import (
	"io"
	"net"
	"time"

	"sluice/lua/vm"
)

// BodyHost is a Host that can also give the body of the current request;
// Install then sets ngx.req.socket, too.
type BodyHost interface {
	Host
	// RequestBody hands over the request's body, unread so far, and the
	// connection on which it comes (nil when all of it is there). Its errors are
	// for the script: "no body", "request body already exists", "chunked request
	// bodies not supported yet".
	RequestBody(t *vm.Thread) (io.Reader, net.Conn, error)
}

// errRaw is what ngx.req.socket(true) answers: the connection is the HTTP
// server's, which reads ahead on it.
const errRaw = "raw request sockets are not supported: read the body with ngx.req.socket(), answer with ngx.print and ngx.flush"

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
			t.Errorf("expecting zero arguments, but got %d", n)
		}
		request := l.phases(t)
		if t.ToBool(1) {
			return noText(t, errRaw)
		}
		r, conn, err := h.RequestBody(t)
		if err != nil {
			return no(t, err)
		}
		s := &sock{lib: l, request: request, used: true}
		s.attach(t, bodyConn{r, conn}, 0)
		tab := vm.NewTable(1, 0)
		tab.SetInt(1, vm.NewUserdata(s, nil).Value())
		tab.SetMetatable(meta)
		t.Push(tab.Value())
		return 1
	}))
}

// bodyConn reads a request's body; the client's connection stays the server's.
type bodyConn struct {
	io.Reader
	conn net.Conn
}

// lingering is how long the server may wait for the rest of a body that a
// script left unread; nginx's lingering_timeout.
const lingering = 5 * time.Second

func (c bodyConn) Close() error { return c.SetReadDeadline(time.Now().Add(lingering)) }

func (c bodyConn) SetReadDeadline(at time.Time) error {
	if c.conn == nil {
		return nil
	}
	return c.conn.SetReadDeadline(at)
}

func (bodyConn) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (bodyConn) LocalAddr() net.Addr              { return nil }
func (bodyConn) RemoteAddr() net.Addr             { return nil }
func (bodyConn) SetDeadline(time.Time) error      { return nil }
func (bodyConn) SetWriteDeadline(time.Time) error { return nil }
