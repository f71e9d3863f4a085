package epoll

import (
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// socket is a descriptor in a poller's set.
type socket struct {
	fd      int
	poller  *poller
	in, out side
	uses    atomic.Int64 // twice the number of calls that use fd, plus closed
	doubt   atomic.Bool  // a short read does not mean that the socket is empty: see doc.go
	gone    func()       // called when fd is closed
}

// closed is the bit of uses that ends new uses.
const closed = 1

func (s *socket) init(p *poller, fd int, rouse, gone func()) {
	s.poller, s.fd, s.gone = p, fd, gone
	s.in.rouse = rouse
	s.in.init()
	s.out.init()
}

// use keeps fd from being closed, and its number from being given to another, until leave.
func (s *socket) use() error {
	for {
		n := s.uses.Load()
		if n&closed != 0 {
			return net.ErrClosed
		}
		if s.uses.CompareAndSwap(n, n+2) {
			return nil
		}
	}
}

func (s *socket) leave() {
	if s.uses.Add(-2) == closed {
		s.poller.remove(s)
		unix.Close(s.fd)
		s.gone()
	}
}

// close ends all uses; the last of them to leave closes fd.
func (s *socket) close() error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.leave()
	if s.uses.Or(closed)&closed != 0 {
		return net.ErrClosed
	}
	s.in.signal()
	s.out.signal()
	return nil
}

func (s *socket) isClosed() bool { return s.uses.Load()&closed != 0 }

// check says why the side must not go on.
func (s *socket) check(d *side) error {
	if s.isClosed() {
		return net.ErrClosed
	}
	if d.deadline.Load() <= s.poller.clock.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// event hands on what epoll reported.
func (s *socket) event(events uint32) {
	const doubtful = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLPRI
	if events&doubtful != 0 {
		s.doubt.Store(true)
		s.in.signal()
		s.out.signal()
		return
	}
	if events&unix.EPOLLIN != 0 {
		s.in.signal()
	}
	if events&unix.EPOLLOUT != 0 {
		s.out.signal()
	}
}
