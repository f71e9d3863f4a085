package warmup

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// target is one region being written.
type target struct {
	Region
	c      *memcache.Client
	cfg    *Config
	limit  *rate.Limiter
	in     chan *batch
	nodes  map[string]*nodeState
	single *nodeState   // when there is but one
	lost   atomic.Int32 // nodes that are lost

	stored, replaced, kept, missed, repaired, refused atomic.Int64
	evictions                                         atomic.Int64
	backoffs                                          atomic.Int64
}

// nodeState is what the run knows of a node.
type nodeState struct {
	addr  string
	mu    sync.Mutex
	lost  bool      // writes failed: its records are missed, but for one try now and then
	again bool      // its keys must be warmed again
	retry time.Time // when lost: next try
	why   string
}

func (n *nodeState) markAgain(why string) {
	n.mu.Lock()
	n.again, n.why = true, why
	n.mu.Unlock()
}

// retryFor is how long a batch insists on a node before the node counts as lost.
const (
	retryFor   = 2 * time.Second
	maxRounds  = 100 // of reading and comparing what others write all the time
	retryEvery = 50 * time.Millisecond
	probeEvery = 500 * time.Millisecond
)

// usable reports whether to try the node at all.
func (n *nodeState) usable(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.lost {
		return true
	}
	if now.Before(n.retry) {
		return false
	}
	n.retry = now.Add(probeEvery)
	return true
}

func newTarget(r Region, cfg *Config) (*target, error) {
	t := &target{Region: r, cfg: cfg, in: make(chan *batch), nodes: map[string]*nodeState{}, limit: rate.NewLimiter(rate.Inf, 2*cfg.Batch)}
	if cfg.Rate > 0 {
		t.limit.SetLimit(rate.Limit(cfg.Rate))
	}
	for _, s := range r.Servers {
		t.nodes[s] = &nodeState{addr: s}
		t.single = t.nodes[s]
	}
	if len(r.Servers) > 1 {
		t.single = nil
	}
	var err error
	t.c, err = cfg.Client(r, memcache.Events{
		OnCold: func(node string, why memcache.Cold) { t.nodes[node].markAgain("lost its data: " + string(why)) },
		OnReturn: func(node string, flushed bool) {
			if flushed {
				t.nodes[node].markAgain("was emptied on its return")
			}
		},
	})
	return t, err
}

// work writes batches until the channel is closed.
func (t *target) work(ctx context.Context, done func(*batch)) {
	var w writer
	w.t = t
	for b := range t.in {
		w.write(ctx, b)
		if ctx.Err() == nil { // else it may not be in, and must not count
			done(b)
		}
	}
}

// writer is the memory of one worker.
type writer struct {
	t    *target
	ops  []memcache.Op
	todo []int // indexes of items
	left []int

	usable map[*nodeState]bool
}

// write brings one batch in, add-if-newer. Whatever is not in afterwards is
// counted as missed, and its node marked.
func (w *writer) write(ctx context.Context, b *batch) {
	t := w.t
	if t.limit.WaitN(ctx, len(b.items)) != nil {
		return
	}
	now := t.cfg.Clock()
	w.choose(b, now)
	deadline := now.Add(retryFor)
	kind := memcache.Add
	for round := 0; len(w.todo) > 0; round++ {
		failed := w.pass(ctx, b, kind)
		if len(w.todo) == 0 || ctx.Err() != nil {
			return
		}
		if failed || round > maxRounds {
			if round > maxRounds || t.cfg.Clock().After(deadline) {
				w.giveUp(b)
				return
			}
			sleep(ctx, retryEvery)
		}
		// What is left is there already, or is unknown after a failure: look.
		kind = memcache.Gets
	}
}

// choose makes the list of items to write: those of nodes that are not lost,
// and in a pass for some nodes only theirs.
func (w *writer) choose(b *batch, now time.Time) {
	t := w.t
	w.todo = w.todo[:0]
	if w.usable == nil {
		w.usable = map[*nodeState]bool{}
	}
	for _, n := range t.nodes {
		w.usable[n] = n.usable(now)
	}
	for i := range b.items {
		n := t.single
		if n == nil {
			n = t.owner(b.items[i].Key)
		}
		if b.only != nil && !b.only[n] {
			continue
		}
		if !w.usable[n] {
			n.markAgain("was down")
			t.missed.Add(1)
			continue
		}
		w.todo = append(w.todo, i)
	}
}

func (t *target) owner(key string) *nodeState {
	addr, _ := t.c.Owner(key)
	return t.nodes[addr]
}

// pass tries to add (first), or to read, compare and replace, all of todo, and
// leaves in todo what is not decided.
func (w *writer) pass(ctx context.Context, b *batch, kind memcache.Kind) (failed bool) {
	w.ops = w.ops[:0]
	for _, i := range w.todo {
		it := &b.items[i]
		op := memcache.Op{Kind: kind, Key: it.Key}
		if kind == memcache.Add {
			op.Value, op.Expiry = it.Value, it.Expiry
		}
		w.ops = append(w.ops, op)
	}
	w.t.c.Do(ctx, w.ops)
	w.left = w.left[:0]
	if kind == memcache.Add {
		for n, i := range w.todo {
			switch err := w.ops[n].Err; {
			case err == nil:
				w.t.stored.Add(1)
				w.fine(b, i)
			case errors.Is(err, memcache.ErrNotStored):
				w.left = append(w.left, i)
			default:
				failed = w.retry(i, err) || failed
			}
		}
		w.todo, w.left = w.left, w.todo
		return failed
	}
	failed = w.compare(b)
	if len(w.ops) == 0 {
		return failed
	}
	w.t.c.Do(ctx, w.ops)
	todo := w.todo
	w.left = w.left[:0]
	for n, i := range todo {
		if n >= len(w.ops) {
			w.left = append(w.left, i) // could not be read: again
			continue
		}
		switch err := w.ops[n].Err; {
		case err == nil && w.ops[n].Kind == memcache.CAS:
			w.t.replaced.Add(1)
		case err == nil:
			w.t.stored.Add(1)
		case errors.Is(err, memcache.ErrNotStored), errors.Is(err, memcache.ErrCASConflict), errors.Is(err, memcache.ErrCacheMiss):
			w.left = append(w.left, i) // changed under our hands: read again
		default:
			failed = w.retry(i, err) || failed
		}
	}
	w.todo, w.left = w.left, w.todo
	return failed
}

// compare judges what Gets found. Afterwards todo begins with the items that
// ops now wants to write, in the same order, followed by those that failed.
func (w *writer) compare(b *batch) (failed bool) {
	w.left = w.left[:0]
	keep := 0
	var again []int
	for n, i := range w.todo {
		op, it := w.ops[n], &b.items[i]
		write := memcache.Op{Kind: memcache.CAS, Key: it.Key, Value: it.Value, Expiry: it.Expiry, CAS: op.CAS}
		switch {
		case errors.Is(op.Err, memcache.ErrCacheMiss):
			write.Kind = memcache.Add
		case op.Err != nil:
			failed = true
			again = append(again, i)
			continue
		default:
			old, err := record.Parse(op.Value)
			if err != nil {
				w.t.repaired.Add(1)
			} else if next, _ := record.Parse(it.Value); !record.Wins(old, next) {
				w.t.kept.Add(1)
				w.fine(b, i)
				continue
			}
		}
		w.ops[keep] = write
		keep++
		w.left = append(w.left, i)
	}
	w.ops = w.ops[:keep]
	w.todo, w.left = append(w.left, again...), w.todo
	return failed
}

// retry sorts errors: those of the way there are tried again, others never.
func (w *writer) retry(i int, err error) (again bool) {
	if memcache.IsTransport(err) || errors.Is(err, memcache.ErrServerError) && !errors.Is(err, memcache.ErrTooLarge) {
		w.left = append(w.left, i)
		return true
	}
	w.t.refused.Add(1)
	return false
}

// fine clears a node's lost mark after a success.
func (w *writer) fine(b *batch, i int) {
	if w.t.lost.Load() == 0 {
		return
	}
	n := w.t.owner(b.items[i].Key)
	n.mu.Lock()
	if n.lost {
		n.lost = false
		w.t.lost.Add(-1)
	}
	n.mu.Unlock()
}

// giveUp misses what is left and marks its nodes.
func (w *writer) giveUp(b *batch) {
	for _, i := range w.todo {
		w.t.missed.Add(1)
		n := w.t.owner(b.items[i].Key)
		n.mu.Lock()
		if !n.lost {
			w.t.lost.Add(1)
			w.t.cfg.Log.Warn("warm: node lost", "region", w.t.Name, "node", n.addr)
		}
		n.lost, n.again, n.why = true, true, "was down"
		n.retry = w.t.cfg.Clock().Add(probeEvery)
		n.mu.Unlock()
	}
}
