package memcache

import "sync"

// Events tell warm-up and metrics what happens to nodes. Each may be nil; they
// are called in order, one at a time, from a goroutine of the client.
type Events struct {
	OnEject  func(node string, cause error)  // calls to it fail at once from now on
	OnReturn func(node string, flushed bool) // it is used again; flushed: it had missed writes and was emptied
	OnCold   func(node string, why Cold)     // Watch found that it lost its data
}

// Cold is why a node lost its data.
type Cold string

// Reasons of OnCold.
const (
	ColdRestart Cold = "restart"
	ColdFlush   Cold = "flush_all"
	ColdEvicted Cold = "evicted"
)

// eventQueue runs functions one after another without holding up who puts them.
type eventQueue struct {
	mu     sync.Mutex
	ready  *sync.Cond
	queue  []func()
	closed bool
	done   chan struct{}
}

func newEventQueue() *eventQueue {
	q := &eventQueue{done: make(chan struct{})}
	q.ready = sync.NewCond(&q.mu)
	go q.run()
	return q
}

func (q *eventQueue) put(f func()) {
	q.mu.Lock()
	if !q.closed {
		q.queue = append(q.queue, f)
	}
	q.mu.Unlock()
	q.ready.Signal()
}

func (q *eventQueue) run() {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.queue) == 0 && !q.closed {
			q.ready.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		f := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		f()
	}
}

func (q *eventQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ready.Signal()
	<-q.done
}
