package socket

import (
	"container/list"
	"net"
	"sync"
	"syscall"
	"time"
)

// Pools hold the idle connections of the process.
type Pools struct {
	cfg Config

	mu     sync.Mutex
	byKey  map[string]*pool
	closed bool
}

// pool is the connections of one key. While it exists, all of them that were
// made under it count; connect may have to wait for one to end.
//
//	connections = in use + idle (+ waiting, while connect looks at them)
type pool struct {
	key         string
	size        int
	backlog     int // how many may wait; negative: no limit on connections
	connections int
	idle        *list.List // of *idle, the last one in front
	waiting     *list.List // of chan struct{}
}

// idle is a connection that waits for its next use.
type idle struct {
	conn    net.Conn
	reused  int
	session *session // of a TLS connection
	timer   *time.Timer
}

// NewPools makes an empty set of pools.
func NewPools(c Config) *Pools {
	return &Pools{cfg: c.withDefaults(), byKey: map[string]*pool{}}
}

// Close closes every idle connection; what is given back later is closed too.
func (p *Pools) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, pl := range p.byKey {
		for e := pl.idle.Front(); e != nil; e = e.Next() {
			e.Value.(*idle).close()
		}
	}
	p.byKey = map[string]*pool{}
	return nil
}

// Idle counts the connections that wait under a key.
func (p *Pools) Idle(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.byKey[key]; pl != nil {
		return pl.idle.Len()
	}
	return 0
}

func (i *idle) close() {
	if i.timer != nil {
		i.timer.Stop()
	}
	i.conn.Close()
}

func (p *Pools) newPool(key string, size, backlog int) *pool {
	pl := &pool{key: key, size: size, backlog: backlog, idle: list.New(), waiting: list.New()}
	p.byKey[key] = pl
	return pl
}

// join finds the pool of a key; one is made when connect gave a size.
func (p *Pools) join(key string, size, backlog int) *pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.byKey[key]
	if pl == nil && size > 0 {
		pl = p.newPool(key, size, backlog)
	}
	return pl
}

// take gives an idle connection, or counts a new one that the caller makes.
// When the pool is full it gives a channel to wait on instead.
func (p *Pools) take(pl *pool, resumed bool) (c *idle, wait *list.Element, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := pl.idle.Front(); e != nil; e = pl.idle.Front() {
		c := pl.idle.Remove(e).(*idle)
		if c.timer != nil && !c.timer.Stop() || alive(c.conn) != nil {
			c.conn.Close()
			pl.connections--
			continue
		}
		// It is counted already.
		return c, nil, nil
	}
	if p.byKey[pl.key] == nil {
		// The last connection was a dead one.
		p.byKey[pl.key] = pl
	}
	pl.connections++
	if pl.backlog < 0 || resumed {
		return nil, nil, nil
	}
	if pl.connections > pl.size+pl.backlog {
		pl.connections--
		return nil, nil, errTooMany
	}
	if pl.connections > pl.size {
		return nil, pl.waiting.PushBack(make(chan struct{})), nil
	}
	return nil, nil, nil
}

// giveUp ends a wait whose channel was not closed in time; ok is false when
// it was closed after all.
func (p *Pools) giveUp(pl *pool, wait *list.Element) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-wait.Value.(chan struct{}):
		return false
	default:
	}
	pl.waiting.Remove(wait)
	p.drop(pl)
	return true
}

// leave says that a counted connection is gone.
func (p *Pools) leave(pl *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(pl)
	p.resume(pl)
}

func (p *Pools) drop(pl *pool) {
	pl.connections--
	if pl.connections <= 0 && p.byKey[pl.key] == pl {
		delete(p.byKey, pl.key)
	}
}

// resume lets the first waiting connect go on; it counts itself again.
func (p *Pools) resume(pl *pool) {
	e := pl.waiting.Front()
	if e == nil || pl.connections-pl.waiting.Len() >= pl.size && pl.idle.Len() == 0 {
		return
	}
	close(pl.waiting.Remove(e).(chan struct{}))
	pl.connections--
}

// put keeps a connection for later. counted is the pool it counts in, if any.
func (p *Pools) put(key string, c *idle, counted *pool, size int, keep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.conn.Close()
		if counted != nil {
			p.drop(counted)
		}
		return
	}
	pl := counted
	if pl == nil {
		if pl = p.byKey[key]; pl == nil {
			pl = p.newPool(key, size, -1)
		}
		pl.connections++
	}
	if pl.idle.Len() >= pl.size {
		oldest := pl.idle.Remove(pl.idle.Back()).(*idle)
		oldest.close()
		pl.connections--
	}
	e := pl.idle.PushFront(c)
	if keep > 0 {
		c.timer = time.AfterFunc(keep, func() { p.expire(pl, e) })
	}
	p.resume(pl)
}

func (p *Pools) expire(pl *pool, e *list.Element) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := pl.idle.Front(); at != nil; at = at.Next() {
		if at == e {
			pl.idle.Remove(e).(*idle).conn.Close()
			p.drop(pl)
			p.resume(pl)
			return
		}
	}
}

// exists tells whether a key has a pool.
func (p *Pools) exists(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[key] != nil
}

// alive tells whether an idle connection is fit for use: errClosed when the
// peer has closed it, errDubious when it sent something unasked.
func alive(c net.Conn) error {
	sc, ok := transport(c).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return errClosed
	}
	var b [1]byte
	var n int
	var got error
	err = raw.Read(func(fd uintptr) bool {
		n, _, got = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	switch {
	case err != nil:
		return errClosed
	case got == syscall.EAGAIN || got == syscall.EWOULDBLOCK || got == syscall.EINTR:
		return nil
	case got != nil || n == 0:
		return errClosed
	}
	if quietTLS(c) {
		return nil
	}
	return errDubious
}
