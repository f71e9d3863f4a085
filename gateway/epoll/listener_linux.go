package epoll

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long Accept rests when the system has no descriptor or memory for
// another connection: the first time, and at most.
const (
	restMin = 5 * time.Millisecond
	restMax = time.Second
)

// Listen announces on a TCP address.
func Listen(network, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if failed := raw.Control(func(fd uintptr) { err = inherited(int(fd)) }); failed != nil {
			return failed
		}
		return err
	}}
	ln, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	defer ln.Close() // what is kept is a duplicate
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("epoll: %s is no network for TCP", network)
	}
	fd, err := duplicate(tcp)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l := &listener{addr: tcp.Addr(), over: make(chan struct{})}
	p, err := newPoller()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.init(p, fd)
	if err := p.add(&l.socket); err != nil {
		l.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.start()
	return l, nil
}

// inherited sets on a listening socket what connections take over from it: as
// net sets them, but without five system calls for each.
func inherited(fd int) error {
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

func duplicate(ln *net.TCPListener) (fd int, err error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return 0, err
	}
	if failed := raw.Control(func(of uintptr) {
		fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
	}); failed != nil {
		return 0, failed
	}
	return fd, os.NewSyscallError("fcntl", err)
}

type listener struct {
	socket
	addr net.Addr
	over chan struct{} // closed by Close
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

func (l *listener) accept() (*conn, error) {
	l.in.turn.Lock()
	defer l.in.turn.Unlock()
	if err := l.use(); err != nil {
		return nil, err
	}
	defer l.leave()
	rest := restMin
	for {
		if err := l.check(&l.in); err != nil {
			return nil, err
		}
		if l.in.state.Load() != ready {
			l.in.wait()
			continue
		}
		l.in.state.Store(drained)
		c, err := l.take()
		if err == unix.EAGAIN {
			continue
		}
		l.in.state.Store(ready) // there may be more
		switch err {
		case nil:
			return c, nil
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC:
			select {
			case <-l.over:
			case <-time.After(rest):
			}
			rest = min(2*rest, restMax)
		default:
			return nil, os.NewSyscallError("accept4", err)
		}
	}
}

// take accepts one connection and puts it into the set.
func (l *listener) take() (*conn, error) {
	fd, sa, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &conn{remote: tcpAddr(sa), listened: l.addr}
	c.init(l.poller, fd)
	if err := l.poller.add(&c.socket); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (l *listener) Close() error {
	if err := l.close(); err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: err}
	}
	close(l.over)
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// tcpAddr is nil for what is no TCP address.
func tcpAddr(sa unix.Sockaddr) *net.TCPAddr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: zone(sa.ZoneId)}
	}
	return nil
}

// zone is the name of a link-local address' interface.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}
