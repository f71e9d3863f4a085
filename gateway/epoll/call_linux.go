//go:build linux && !race

package epoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls never block, so the scheduler need not know of them: one that it
// knows of may lose its processor to another thread when it takes more than
// some 20 us, and threads that wake for that cost more than the call.

func read(fd int, b []byte) (int, error) {
	return call(unix.SYS_READ, fd, b)
}

func write(fd int, b []byte) (int, error) {
	return call(unix.SYS_WRITE, fd, b)
}

// call needs a b that is not empty.
func call(number uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// poll looks at an epoll set without waiting.
func poll(fd int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
