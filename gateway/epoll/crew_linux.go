package epoll

import (
	"context"
	"net"
	"sync"
	"time"
)

// crew are the goroutines that serve turns.
//
// A worker goes from turn to turn without pause while any wait. It wakes another when it takes one
// and more are left, unless one was woken already and has not begun yet: so of all workers that
// could run at most one waits for a processor, and it is there when a worker blocks. The one who
// rested last is woken first: its stack is warm.
type crew struct {
	serve func(net.Conn) error

	mu     sync.Mutex
	queue  []*conn // from first on
	first  int
	idle   []*worker
	rising bool // a worker was woken and has not begun
	turns  int  // under way
	over   bool // all workers are to end
}

// worker is a goroutine of a crew.
type worker struct {
	wake  chan struct{} // closed when the worker is to end
	since time.Time     // idle
}

// push gives c a turn. The caller may have poller.mu.
func (w *crew) push(c *conn) {
	w.mu.Lock()
	w.queue = append(w.queue, c)
	w.call()
}

// call wakes a worker unless one is on its way, and unlocks mu.
func (w *crew) call() {
	if w.rising {
		w.mu.Unlock()
		return
	}
	w.rising = true
	n := len(w.idle)
	if n == 0 {
		w.mu.Unlock()
		go w.work()
		return
	}
	last := w.idle[n-1]
	w.idle[n-1] = nil
	w.idle = w.idle[:n-1]
	w.mu.Unlock()
	last.wake <- struct{}{}
}

// pop is the conn that has waited longest. The caller has mu.
func (w *crew) pop() *conn {
	if w.first == len(w.queue) {
		return nil
	}
	c := w.queue[w.first]
	w.queue[w.first] = nil
	if w.first++; w.first == len(w.queue) {
		w.queue, w.first = w.queue[:0], 0
	} else if w.first >= 1024 && w.first >= len(w.queue)/2 {
		w.queue = append(w.queue[:0], w.queue[w.first:]...)
		w.first = 0
	}
	return c
}

// work serves turns until the crew has had no need of this goroutine for a while.
func (w *crew) work() {
	me := &worker{wake: make(chan struct{}, 1)}
	w.mu.Lock()
	w.rising = false
	for {
		if c := w.pop(); c != nil {
			w.turns++
			if w.first < len(w.queue) {
				w.call()
			} else {
				w.mu.Unlock()
			}
			c.turn()
			w.mu.Lock()
			w.turns--
			continue
		}
		if w.over {
			w.mu.Unlock()
			return
		}
		me.since = time.Now()
		w.idle = append(w.idle, me)
		w.mu.Unlock()
		if _, more := <-me.wake; !more {
			return
		}
		w.mu.Lock()
		w.rising = false
	}
}

// state counts the turns under way or waited for, and the idle workers.
func (w *crew) state() (turns, idle int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turns + len(w.queue) - w.first, len(w.idle)
}

// dismiss ends workers that were idle for long, or all.
func (w *crew) dismiss(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = w.over || all
	n := 0
	for n < len(w.idle) && (all || time.Since(w.idle[n].since) > restAfter) {
		close(w.idle[n].wake)
		n++
	}
	w.idle = append(w.idle[:0], w.idle[n:]...)
}

// restAfter is how long a worker may be idle.
const restAfter = 10 * time.Second

// Serve gives every connection a turn when something has come from its client, to be served by
// serve, which is fasthttp's Server.ServeConn; ConnState must be that server's, and its Concurrency
// far beyond the connections, for it counts a turn until after the next may have begun. It returns
// after Close.
func (l *Listener) Serve(serve func(net.Conn) error) error {
	l.crew.serve = serve
	go func() {
		tick := time.NewTicker(restAfter)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.crew.dismiss(false)
			case <-l.over:
				return
			}
		}
	}()
	for {
		c, err := l.accept()
		if err != nil {
			return err
		}
		c.unlessClosed()
	}
}

// Drain waits after Close until all turns have ended and all connections are closed: also those that were hijacked.
func (l *Listener) Drain(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		open := l.connections() // first: without any no turn begins
		if turns, _ := l.crew.state(); open+turns == 0 {
			l.crew.dismiss(true)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
