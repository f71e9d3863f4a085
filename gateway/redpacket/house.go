package redpacket

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/redpacket/script"
)

// Buckets of one home: where they are and of which epoch. House is shared by every role of a
// process; it is safe for concurrent use.
type House struct {
	home    uint8
	ids     *IDs
	book    *script.Book
	backend Backend
	control redis.UniversalClient
	now     func() time.Time
	sleep   func(ctx context.Context, d time.Duration) error
	keys    [Buckets]keys
	buckets []int                 // those that the roles care for
	asked   [Buckets]atomic.Int64 // Unix ms of the last look at a bucket's epoch
	sets    [Buckets]atomic.Pointer[script.Set]
}

// HouseConfig is what a House is made of. All fields are required but for those that say
// what their zero value means.
type HouseConfig struct {
	Home    uint8
	IDs     *IDs
	Control redis.UniversalClient // MaxRetries -1
	Backend Backend               // nil means GoRedis on Control
	Book    *script.Book          // nil means the embedded scripts
	Now     func() time.Time      // nil means time.Now
	// Buckets are those that the roles of this house care for; nil means all. It is for tests.
	Buckets []int
	// Sleep waits or ends with the context; nil means to wait in truth. A simulator moves its
	// clock instead.
	Sleep func(ctx context.Context, d time.Duration) error
}

// NewHouse checks its parts. It does no I/O.
func NewHouse(cfg HouseConfig) (*House, error) {
	if cfg.IDs == nil || cfg.Control == nil {
		return nil, fmt.Errorf("redpacket: a house needs IDs and a control client")
	}
	if cfg.Backend == nil {
		cfg.Backend = GoRedis{cfg.Control}
	}
	if cfg.Book == nil {
		book, err := script.NewBook()
		if err != nil {
			return nil, err
		}
		cfg.Book = book
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Buckets == nil {
		for b := range Buckets {
			cfg.Buckets = append(cfg.Buckets, b)
		}
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	return &House{home: cfg.Home, ids: cfg.IDs, book: cfg.Book, backend: cfg.Backend, control: cfg.Control,
		now: cfg.Now, sleep: cfg.Sleep, keys: allKeys(), buckets: cfg.Buckets}, nil
}

// askEvery is how often a fenced bucket's epoch is looked at, at most.
const askEvery = 50 * time.Millisecond

// set is the script set of a bucket's epoch; it reads the epoch when it knows none.
func (h *House) set(ctx context.Context, b int) (*script.Set, error) {
	if s := h.sets[b].Load(); s != nil {
		return s, nil
	}
	return h.learn(ctx, b)
}

// learn reads a bucket's epoch from its meta hash.
func (h *House) learn(ctx context.Context, b int) (*script.Set, error) {
	text, err := h.control.HGet(ctx, h.keys[b].meta, "epoch").Result()
	if err == redis.Nil {
		return nil, Later(time.Second, fmt.Errorf("%w: bucket %d of home %d has no epoch yet", ErrFenced, b, h.home))
	}
	if err != nil {
		return nil, scriptError(err)
	}
	epoch, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("redpacket: bucket %d has the epoch %q: %w", b, text, err)
	}
	s := h.book.At(epoch)
	h.sets[b].Store(s)
	return s, nil
}

// relearn looks whether the bucket has another epoch than old. It asks Redis at most once
// in askEvery for each bucket, so that fenced draws do not storm it.
func (h *House) relearn(ctx context.Context, b int, old *script.Set) (*script.Set, bool) {
	if s := h.sets[b].Load(); s != nil && s.Epoch != old.Epoch {
		return s, true
	}
	now := h.now().UnixMilli()
	last := h.asked[b].Load()
	if now-last < askEvery.Milliseconds() && now >= last || !h.asked[b].CompareAndSwap(last, now) {
		return old, false
	}
	s, err := h.learn(ctx, b)
	return s, err == nil && s.Epoch != old.Epoch
}

// run calls one script of the bucket. A fenced call did nothing, so it is made again if
// the bucket's epoch turns out to be another; never by EVAL.
func (h *House) run(ctx context.Context, b int, name script.Name, keys, args []string, dst []byte) ([]byte, *script.Set, error) {
	set, err := h.set(ctx, b)
	if err != nil {
		return dst, nil, err
	}
	out, err := h.backend.EvalSHA(ctx, set.SHA(name), keys, args, dst)
	if err == nil || !isFenced(err) {
		return out, set, err
	}
	if next, changed := h.relearn(ctx, b, set); changed {
		out, err = h.backend.EvalSHA(ctx, next.SHA(name), keys, args, dst)
		set = next
	}
	if err != nil && isFenced(err) {
		err = Later(500*time.Millisecond, err)
	}
	return out, set, err
}

// base puts the three keys that every script begins with before the others.
func (k *keys) base(more ...string) []string {
	return append([]string{k.meta, k.log, k.win}, more...)
}
