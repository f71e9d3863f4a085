package redpacket

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
)

// Replicated is a Backend whose answers go out only when replicas have what the script wrote.
//
// WAIT speaks of the writes of its own connection and would hold up everybody behind it in a
// pipeline. So calls that have their reply gather, and one of them writes a byte on another
// connection and WAITs for that: replication keeps the order, so whoever has this byte has
// everything before it. A group costs one round trip, however many calls are in it. The scripts
// must be known there: a Redis that was promoted between reply and WAIT is another one.
type Replicated struct {
	next    Backend
	client  *redis.Client
	n       int
	timeout time.Duration

	mu      sync.Mutex
	waiting []waiting // the group that comes next
	running bool
}

// waiting is a call that has its reply.
type waiting struct {
	sha  string
	done chan error
}

// NewReplicated waits for n replicas, at most timeout. It is for a home on one Redis with
// replicas; a cluster needs one for each node.
func NewReplicated(next Backend, client *redis.Client, n int, timeout time.Duration) (*Replicated, error) {
	if next == nil || client == nil || n < 1 || timeout <= 0 {
		return nil, fmt.Errorf("redpacket: Replicated needs a Backend, a client, at least one replica and a timeout")
	}
	return &Replicated{next: next, client: client, n: n, timeout: timeout}, nil
}

// EvalSHA implements Backend. When the replicas do not follow in time the result is "later":
// the script has run, and the same call again gives the same answer.
func (r *Replicated) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error) {
	out, err := r.next.EvalSHA(ctx, sha, keys, args, dst)
	if err != nil {
		return out, err
	}
	done := make(chan error, 1)
	r.mu.Lock()
	r.waiting = append(r.waiting, waiting{sha, done})
	lead := !r.running
	r.running = true
	r.mu.Unlock()
	if lead {
		go r.run()
	}
	select {
	case err := <-done:
		if err != nil {
			return dst, Later(500*time.Millisecond, err)
		}
		return out, nil
	case <-ctx.Done():
		return dst, ctx.Err()
	}
}

// run serves groups until nobody waits.
func (r *Replicated) run() {
	for {
		r.mu.Lock()
		group := r.waiting
		r.waiting = nil
		r.running = len(group) > 0
		r.mu.Unlock()
		if len(group) == 0 {
			return
		}
		var shas []string
		for _, w := range group {
			if !slices.Contains(shas, w.sha) {
				shas = append(shas, w.sha)
			}
		}
		err := changelog.AwaitReplicas(context.Background(), r.client, r.n, r.timeout, shas...)
		for _, w := range group {
			w.done <- err
		}
	}
}
