package socket

import (
	"container/list"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"sluice/lua/vm"
)

// connectArgs are connect's arguments, read.
type connectArgs struct {
	host     string
	key      string
	port     int
	poolSize int
	backlog  int
	err      error // for the script
}

// connectOptions reads the table at place n.
func (l *library) connectOptions(t *vm.Thread, n int, a *connectArgs) {
	opts := t.Arg(n)
	get := func(name string) vm.Value { return t.Index(opts, vm.String(name)) }
	if v := get("pool_size"); !v.IsNil() {
		f, ok := v.ToNumber()
		if !ok {
			t.ArgError(n, fmt.Sprintf(`bad "pool_size" option type: %s`, v.Type()))
		}
		if f < 1 {
			t.ArgError(n, fmt.Sprintf(`bad "pool_size" option value: %d`, int(f)))
		}
		a.poolSize = int(f)
	}
	if f, ok := get("backlog").ToNumber(); ok {
		if f < 0 {
			t.ArgError(n, fmt.Sprintf(`bad "backlog" option value: %d`, int(f)))
		}
		a.backlog = int(f)
		if a.poolSize == 0 {
			a.poolSize = l.pools.cfg.PoolSize
		}
	}
	switch v := get("pool"); v.Type() {
	case vm.TypeNil:
	case vm.TypeString, vm.TypeNumber:
		a.key, _ = v.ToStringValue()
	default:
		t.ArgError(n, fmt.Sprintf(`bad "pool" option type: %s`, v.Type()))
	}
}

// connectArgs reads connect's arguments from place first on.
func (l *library) connectArgs(t *vm.Thread, first int) connectArgs {
	n := t.NArgs()
	a := connectArgs{host: t.CheckString(first), backlog: -1}
	if t.Arg(n).AsTable() != nil && n > first {
		l.connectOptions(t, n, &a)
		n--
	}
	port, hasPort := t.Arg(first + 1).ToNumber()
	_, unix := cutUnix(a.host)
	switch {
	case n > first && hasPort:
		if port < 0 || port > 65535 {
			a.err = fmt.Errorf("bad port number: %d", int(port))
			return a
		}
		a.port = int(port)
		if a.key == "" {
			s, _ := t.Arg(first + 1).ToStringValue()
			a.key = a.host + ":" + s
		}
	case unix:
		if a.key == "" {
			a.key = a.host
		}
	default:
		a.err = errMissing
	}
	return a
}

func (l *library) connect(t *vm.Thread) int {
	n := t.NArgs()
	if n < 2 || n > 4 {
		t.Errorf("ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen %d", n)
	}
	request := l.phases(t)
	s := sockOf(t)
	a := l.connectArgs(t, 2)
	if a.err != nil {
		return no(t, a.err)
	}
	if (s.conn != nil || s.connecting) && s.request != request {
		t.Errorf("bad request")
	}
	if s.busy(t, true, true) {
		return 2
	}
	s.finalize()
	*s = sock{lib: l, connectTimeout: s.connectTimeout, sendTimeout: s.sendTimeout, readTimeout: s.readTimeout, local: s.local,
		used: true, request: request, key: a.key}
	if err := s.connect(t, a); err != nil {
		return no(t, err)
	}
	return one(t)
}

// connect takes an idle connection or makes one.
func (s *sock) connect(t *vm.Thread, a connectArgs) error {
	l := s.lib
	deadline := l.until(t, s.connectTimeout, l.pools.cfg.ConnectTimeout)
	pl := l.pools.join(a.key, a.poolSize, a.backlog)
	if pl != nil {
		c, err := s.fromPool(t, pl, a, deadline)
		if err != nil {
			return err
		}
		if c != nil {
			s.pool = pl
			s.session = c.session
			s.attach(t, c.conn, c.reused+1)
			return nil
		}
	}
	fail := func(err error) error {
		if pl != nil {
			l.pools.leave(pl)
		}
		return err
	}
	to, err := parseTarget(a.host, a.port)
	if err != nil {
		return fail(err)
	}
	local := s.local
	var d dialing
	returned := false
	defer func() {
		// A thread killed meanwhile leaves neither count nor connection behind.
		if !returned {
			d.abandon()
			fail(nil)
		}
	}()
	s.block(t, &s.connecting, func() { d.done(l.pools.dial(to, false, local, deadline)) })
	returned = true
	conn, err := d.conn, d.err
	if err != nil {
		return fail(s.connectError(t, to, err))
	}
	s.pool = pl
	s.attach(t, conn, 0)
	return nil
}

// dialing is a connection in the making; who asked for it may be gone when it
// is there.
type dialing struct {
	mu   sync.Mutex
	gone bool
	conn net.Conn
	err  error
}

func (d *dialing) done(c net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.err = c, err
	if d.gone && c != nil {
		c.Close()
	}
}

func (d *dialing) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
	if d.conn != nil {
		d.conn.Close()
	}
}

func (s *sock) connectError(t *vm.Thread, to target, err error) error {
	p := plain(err)
	s.ft = ftError
	switch {
	case p == errTimeout:
		s.ft = ftTimeout
		s.lib.log(t, LevelError, "lua tcp socket connect timed out, when connecting to "+to.name())
	case errno(err) == 0:
	case to.network == "unix":
		s.lib.log(t, LevelCrit, failed("connect() to unix:"+to.addr, err))
	default:
		s.lib.log(t, LevelError, failed("connect()", err))
	}
	return p
}

func (t target) name() string {
	if t.host != "" {
		return fmt.Sprintf("%s:%d", t.host, t.port)
	}
	return t.addr
}

// fromPool gives an idle connection; nil without an error means that the
// caller makes one, which is counted already.
func (s *sock) fromPool(t *vm.Thread, pl *pool, a connectArgs, deadline time.Time) (*idle, error) {
	c, wait, err := s.lib.pools.take(pl, false)
	if wait == nil || err != nil {
		return c, err
	}
	if !s.wait(t, pl, wait, deadline) {
		s.ft = ftTimeout
		s.lib.log(t, LevelError, fmt.Sprintf("lua tcp socket queued connect timed out, when trying to connect to %s:%d",
			strings.TrimPrefix(a.host, "unix:"), a.port))
		return nil, errTimeout
	}
	c, _, err = s.lib.pools.take(pl, true)
	return c, err
}

// wait waits for a place in a full pool.
func (s *sock) wait(t *vm.Thread, pl *pool, wait *list.Element, deadline time.Time) (ok bool) {
	returned := false
	defer func() {
		if !returned {
			s.lib.pools.giveUp(pl, wait)
		}
	}()
	turn := wait.Value.(chan struct{})
	s.block(t, &s.connecting, func() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case <-turn:
			ok = true
		case <-timer.C:
		}
	})
	returned = true
	if !ok {
		// It may have come in the last moment.
		ok = !s.lib.pools.giveUp(pl, wait)
	}
	return ok
}
