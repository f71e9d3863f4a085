package load

import (
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll set, edge-triggered: a socket is registered once and never touched again.
type poller struct {
	fd     int
	events []unix.EpollEvent
	old    bool // the kernel has no epoll_pwait2 (before 5.11): milliseconds only
}

const sysEpollPwait2 = 441 // the same number on every architecture

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	// The default slack of 50 us would be the generator's lag. Per thread: the loop is locked to one.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &poller{fd: fd, events: make([]unix.EpollEvent, 512)}, nil
}

// close also gives the thread its usual slack back.
func (p *poller) close() {
	_ = unix.Close(p.fd)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
}

// wait returns the sockets that are ready; timeout 0 only looks.
func (p *poller) wait(timeout time.Duration) []unix.EpollEvent {
	var n uintptr
	var errno syscall.Errno
	ts := unix.NsecToTimespec(int64(max(timeout, 0)))
	ev := unsafe.Pointer(&p.events[0])
	switch {
	case timeout <= 0:
		n, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(ev), uintptr(len(p.events)), 0, 0, 0)
	case !p.old:
		n, _, errno = syscall.Syscall6(sysEpollPwait2, uintptr(p.fd), uintptr(ev), uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		p.old = errno == syscall.ENOSYS
	default:
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(ev), uintptr(len(p.events)), uintptr(timeout/time.Millisecond), 0, 0)
	}
	runtime.KeepAlive(&ts)
	if errno != 0 {
		return nil
	}
	return p.events[:n]
}

// open starts a connection; it is registered under its index and generation.
func (p *poller) open(addr netip.AddrPort, index, generation int32) (int, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	fail := func(err error) (int, error) {
		_ = unix.Close(fd)
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fail(err)
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if family == unix.AF_INET {
		sa = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		return fail(err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: index, Pad: generation}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fail(err)
	}
	return fd, nil
}

// Reading and writing never block here, so the scheduler need not be told (RawSyscall).
func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), e
}

func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), e
}
