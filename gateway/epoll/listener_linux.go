package epoll

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
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
func Listen(network, address string, o Options) (*Listener, error) {
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
	l := &Listener{addr: tcp.Addr(), o: o.filled(), over: make(chan struct{}), from: map[netip.Addr]int{}}
	p, err := newPoller()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.init(p, fd, nil, func() {})
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

// Listener is a net.Listener whose connections can be served in turns.
type Listener struct {
	socket
	addr   net.Addr
	o      Options
	over   chan struct{} // closed by Close
	serial uint64        // of the latest connection. Guarded by in.turn
	crew   crew

	mu   sync.Mutex
	open int                // connections
	from map[netip.Addr]int // of an address, if the options bound that
}

// Accept waits for a connection, which stays with the caller until it is closed.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

func (l *Listener) accept() (*conn, error) {
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
			if c != nil {
				return c, nil
			}
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.ENETDOWN, unix.ENETUNREACH,
			unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET: // that connection's own: see accept(2)
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC, unix.EPERM:
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

// take accepts one connection and puts it into the set, or refuses it: then it is nil.
func (l *Listener) take() (*conn, error) {
	fd, sa, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, err
	}
	remote := tcpAddr(sa)
	ip := remote.AddrPort().Addr().Unmap()
	if many, hers := l.enter(ip); many || hers {
		l.refuse(fd, hers)
		return nil, nil
	}
	l.serial++
	c := &conn{ln: l, remote: remote, serial: l.serial, latest: math.MinInt64 / 2}
	c.init(l.poller, fd, func() { l.crew.push(c) }, func() { l.left(ip) })
	c.use() // an event of fd's last owner may rouse c before the set has it: it must not be closed till then
	defer c.leave()
	if l.crew.serve != nil { // its first turn begins when something comes
		if l.o.Silence > 0 {
			c.in.deadline.Store(l.poller.at(time.Now().Add(l.o.Silence)))
		}
		c.phase.Store(roused)
		c.in.sleep()
	}
	if err := l.poller.add(&c.socket); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// enter counts a connection in, or says which bound forbids it.
func (l *Listener) enter(ip netip.Addr) (many, hers bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	many, hers = l.open >= l.o.Connections, l.o.PerIP > 0 && l.from[ip] >= l.o.PerIP
	if many || hers {
		return many, hers
	}
	l.open++
	if l.o.PerIP > 0 {
		l.from[ip]++
	}
	return false, false
}

// left counts a connection out.
func (l *Listener) left(ip netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.o.PerIP > 0 {
		if l.from[ip]--; l.from[ip] == 0 {
			delete(l.from, ip)
		}
	}
}

// connections counts those that are open.
func (l *Listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// refuse answers a connection that is one too many, and closes it.
func (l *Listener) refuse(fd int, hers bool) {
	defer unix.Close(fd)
	if l.o.Refusal == nil {
		return
	}
	var ask [4096]byte
	read(fd, ask[:]) // closing upon unread bytes would reset what the client has not read yet
	if answer := l.o.Refusal(hers); len(answer) > 0 {
		write(fd, answer)
	}
}

// Close ends Accept and Serve, and closes the connections that are between two turns. Others
// go on.
func (l *Listener) Close() error {
	if err := l.close(); err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: err}
	}
	close(l.over)
	for _, s := range l.poller.sleepers() {
		s.close()
	}
	return nil
}

// Addr is where l listens.
func (l *Listener) Addr() net.Addr { return l.addr }

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
