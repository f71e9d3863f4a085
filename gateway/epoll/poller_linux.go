package epoll

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sweepEvery = 250 * time.Millisecond
	linger     = 2 * sweepEvery // how long a turn outlasts requests that followed each other within a sweep
	maxEvents  = 256            // of one look at the set
	// After so many events of one look the next ones are not far: the poller lets
	// whoever it woke run, and looks again without the netpoller in between.
	manyEvents = 4
)

// interest is what every socket is registered for, once.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// poller is an epoll set, the goroutine that hands on its events, and the one
// that sweeps the deadlines. It ends with the last of its sockets.
type poller struct {
	fd    int
	file  *os.File // fd, as Go's netpoller knows it
	raw   syscall.RawConn
	epoch time.Time
	clock atomic.Int64 // nanoseconds since epoch at the last sweep
	done  chan struct{}

	mu      sync.Mutex
	sockets []*socket // by descriptor
	count   int

	events [maxEvents]unix.EpollEvent // the goroutine's own
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", os.NewSyscallError("epoll_create1", err))
	}
	// os.NewFile gives to the netpoller what does not block.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), epoch: time.Now(), done: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return p, nil
}

// start is called once the first socket is in the set.
func (p *poller) start() {
	go p.raw.Read(p.look) // until file is closed
	go p.sweeps()
}

// add puts a socket into the set.
func (p *poller) add(s *socket) error {
	p.mu.Lock()
	if s.fd >= len(p.sockets) {
		p.sockets = append(p.sockets, make([]*socket, s.fd+1-len(p.sockets))...)
	}
	p.sockets[s.fd] = s
	p.count++
	p.mu.Unlock()
	event := unix.EpollEvent{Events: interest, Fd: int32(s.fd)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		return err
	}
	return nil
}

// remove forgets a socket that is about to be closed, which takes it out of
// the set.
func (p *poller) remove(s *socket) {
	p.mu.Lock()
	p.sockets[s.fd] = nil
	p.count--
	over := p.count == 0
	p.mu.Unlock()
	if over {
		close(p.done)
		p.file.Close()
	}
}

// look hands on all events there are. It is given to raw.Read, which calls it
// again whenever the netpoller reports the set: edge-triggered, and kept when
// it comes during a call. So a look that has not filled events need not be
// repeated, and one call of raw.Read must last for ever: each new one forgets
// what was reported before.
func (p *poller) look(fd uintptr) (over bool) {
	for {
		n, err := poll(int(fd), p.events[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return true
		}
		p.mu.Lock()
		for i := range p.events[:max(n, 0)] {
			e := &p.events[i]
			if s := p.sockets[e.Fd]; s != nil {
				s.event(e.Events)
			}
		}
		p.mu.Unlock()
		if n < manyEvents {
			return false
		}
		runtime.Gosched()
	}
}

// sleepers rises all who sleep, and returns them.
func (p *poller) sleepers() (all []*socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		if s != nil && s.in.rise() {
			all = append(all, s)
		}
	}
	return all
}

// sweeps moves the clock on, and wakes those whose deadline it has passed.
func (p *poller) sweeps() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
		}
		now := int64(time.Since(p.epoch))
		p.clock.Store(now)
		p.mu.Lock()
		for _, s := range p.sockets {
			if s == nil {
				continue
			}
			if s.in.deadline.Load() <= now {
				s.in.signal()
			} else if s.in.patience.Load() <= now {
				s.in.hurry()
			}
			if s.out.deadline.Load() <= now {
				s.out.signal()
			}
		}
		p.mu.Unlock()
	}
}

// at is t on the poller's clock.
func (p *poller) at(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return int64(t.Sub(p.epoch))
}
