package redpacket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// SettlerConfig is what a Settler is made of.
type SettlerConfig struct {
	House  *House         // required
	Ledger ledger.Settler // required
	Freeze func(ctx context.Context, f ledger.FreezeError) error
	// Blocking is a client of its own for reads that block; required.
	Blocking redis.UniversalClient
	Batch    int64         // events of a bucket in one read; 0 means 2000
	Block    time.Duration // longest wait for events; 0 means 100 ms, at most 200 ms is wise
	Log      *slog.Logger  // nil means slog.Default
	Hooks    SettlerHooks
}

// SettlerHooks feed metrics; any may be nil.
type SettlerHooks struct {
	Settled func(bucket, events int, oldest time.Duration) // age of the oldest event just posted
	Frozen  func(f *ledger.FreezeError)
	Failed  func(err error)
}

// Settler posts every bucket's win stream into the ledger, where the position moves in the
// same transaction: once in effect, whatever is killed when. Any number may run.
type Settler struct {
	SettlerConfig
	h       *House
	reader  streamReader
	pos     [Buckets]ledger.Position
	frozen  [Buckets]bool
	gap     [Buckets]int // reads in a row that did not follow one and the same position
	looked  time.Time
	trimmed [Buckets]uint64
	trimAt  time.Time
	moves   map[ID]time.Time // spread red packets with moves on their way, and when to look
	ticks   map[ID]time.Time // red packets whose record may lag behind, and when to look

	mu      sync.Mutex // guards the rest
	settled [Buckets]uint64
	stuck   [Buckets]error
	waiters [Buckets][]waiter
}

type waiter struct {
	seq  uint64
	done chan error
}

// NewSettler checks its parts.
func NewSettler(cfg SettlerConfig) (*Settler, error) {
	if cfg.House == nil || cfg.Ledger == nil || cfg.Blocking == nil {
		return nil, fmt.Errorf("redpacket: a Settler needs House, Ledger and Blocking")
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 2000
	}
	if cfg.Block <= 0 {
		cfg.Block = 100 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Settler{SettlerConfig: cfg, h: cfg.House, ticks: map[ID]time.Time{}, moves: map[ID]time.Time{}}
	s.reader = streamReader{sleep: s.h.sleep, client: cfg.Blocking, block: cfg.Block, count: cfg.Batch}
	for b := range s.h.keys {
		s.reader.stream[b] = s.h.keys[b].win
	}
	return s, nil
}

// Run settles until the context ends.
func (s *Settler) Run(ctx context.Context) error {
	wait := 50 * time.Millisecond
	for ctx.Err() == nil {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("settle", "err", err, "retry_in", wait)
			if s.Hooks.Failed != nil {
				s.Hooks.Failed(err)
			}
			s.looked = time.Time{}
			s.h.sleep(ctx, wait)
			wait = min(2*wait, 2*time.Second)
			continue
		}
		wait = 50 * time.Millisecond
	}
	return ctx.Err()
}

// lookEvery is how often positions are read again although nothing went wrong: a
// certification may have thawed a bucket.
const lookEvery = time.Second

// Step reads once and posts what it read.
func (s *Settler) Step(ctx context.Context) error {
	now := s.h.now()
	if now.Sub(s.looked) >= lookEvery || now.Before(s.looked) {
		if err := s.look(ctx); err != nil {
			return err
		}
		s.looked = now
	}
	var from [Buckets]string
	for _, b := range s.h.buckets {
		if !s.frozen[b] {
			from[b] = s.pos[b].String()
		}
	}
	got, any, err := s.reader.read(ctx, &from)
	if err != nil {
		return fmt.Errorf("reading win streams: %w", err)
	}
	if any {
		if err := s.post(ctx, &got); err != nil {
			return err
		}
	}
	s.deliver(ctx)
	s.tick(ctx)
	s.trim(ctx)
	return nil
}

// look asks the ledger how far each bucket is.
func (s *Settler) look(ctx context.Context) error {
	known, err := s.Ledger.Positions(ctx, int(s.h.home))
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	for b := range s.pos {
		l := known[b]
		if s.pos[b] != l.Position { // somebody else moved it: what looked like a gap was none
			s.gap[b] = 0
		}
		s.pos[b] = l.Position
		var stuck error
		if l.Frozen != nil {
			stuck = fmt.Errorf("%w: %w", ErrFrozen, l.Frozen)
		}
		s.frozen[b] = l.Frozen != nil
		s.tell(b, l.Position.Seq, stuck)
	}
	return nil
}

// post makes batches of what was read and gives them to the ledger in one transaction.
func (s *Settler) post(ctx context.Context, got *[Buckets][]redis.XMessage) error {
	var batches []ledger.Batch
	var events [Buckets]int
	var oldest time.Time
	for b, messages := range got {
		if len(messages) == 0 {
			continue
		}
		list, err := s.batches(b, messages)
		switch {
		case list == nil && err != nil: // its own bucket stops here, the others go on
			s.freeze(ctx, b, err.Error())
			continue
		case list == nil:
			s.gapped(ctx, b)
			continue
		}
		s.gap[b] = 0
		batches = append(batches, list...)
		events[b] = len(messages)
		for i := range list[0].Wins {
			if at := list[0].Wins[i].At; oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
			break
		}
	}
	if len(batches) == 0 {
		return s.h.sleep(ctx, 10*time.Millisecond)
	}
	if err := s.Ledger.Settle(ctx, batches); err != nil {
		frozen := ledger.FreezeErrors(err)
		for _, f := range frozen {
			s.Log.Error("bucket frozen", "err", f)
			if s.Hooks.Frozen != nil {
				s.Hooks.Frozen(f)
			}
		}
		s.looked = time.Time{} // what was posted of it, the ledger knows
		if len(frozen) == 0 && !errors.Is(err, ledger.ErrGap) && !errors.Is(err, ledger.ErrFenced) {
			return fmt.Errorf("posting: %w", err)
		}
		return s.h.sleep(ctx, 20*time.Millisecond)
	}
	for _, batch := range batches {
		s.pos[batch.Bucket] = batch.To
		s.tell(batch.Bucket, batch.To.Seq, nil)
		s.remember(&batch)
	}
	if s.Hooks.Settled != nil {
		for b, n := range events {
			if n > 0 {
				s.Hooks.Settled(b, n, s.h.now().Sub(oldest))
			}
		}
	}
	return nil
}

// batches cuts a bucket's events where the epoch changes. No batch means that the first event
// cannot be posted: it does not read as one (the error), or it does not follow the bucket's
// position, so that something is missing in between.
func (s *Settler) batches(b int, messages []redis.XMessage) (list []ledger.Batch, err error) {
	at := s.pos[b]
	for _, m := range messages {
		e, err := parseEvent(m)
		if err != nil {
			return list, err // what stands before it may be posted
		}
		if e.prev != at.Seq {
			break // a gap: what stands before it may be posted
		}
		if n := len(list); n == 0 || list[n-1].To.Epoch != e.pos.Epoch {
			list = append(list, ledger.Batch{Home: int(s.h.home), Bucket: b, From: at})
		}
		batch := &list[len(list)-1]
		switch {
		case e.isEnd:
			batch.Closes = append(batch.Closes, e.end)
		case e.isMove:
			e.move.From = b
			batch.Moves = append(batch.Moves, e.move)
		default:
			batch.Wins = append(batch.Wins, e.win)
		}
		batch.To, at = e.pos, e.pos
	}
	return list, nil
}

// gapped freezes a bucket whose stream does not go on from the ledger's position, unless
// the ledger's position has meanwhile been moved by somebody else.
func (s *Settler) gapped(ctx context.Context, b int) {
	s.gap[b]++
	s.looked = time.Time{}
	if s.gap[b] < 3 {
		return
	}
	s.freeze(ctx, b, "the win stream does not go on from here: events are missing")
	s.gap[b] = 0
}

// freeze stops one bucket whose stream cannot be posted, and raises the alarm.
func (s *Settler) freeze(ctx context.Context, b int, why string) {
	s.looked = time.Time{}
	if s.Freeze == nil {
		return
	}
	f := ledger.FreezeError{Home: int(s.h.home), Bucket: b, At: s.pos[b], Kind: ledger.FreezeRedis, Share: -1, Detail: why}
	if err := s.Freeze(ctx, f); err != nil {
		s.Log.Error("freezing a bucket", "bucket", b, "why", why, "err", err)
		return
	}
	s.Log.Error("bucket frozen", "err", &f)
	if s.Hooks.Frozen != nil {
		s.Hooks.Frozen(&f)
	}
}

// remember notes the red packets whose record is to be emitted once more when it has been
// quiet for 100 ms.
func (s *Settler) remember(batch *ledger.Batch) {
	due := s.h.now().Add(110 * time.Millisecond)
	for i := range batch.Moves {
		if id, err := s.h.ids.Parse(batch.Moves[i].RedPacket); err == nil {
			s.moves[id] = time.Time{}
		}
	}
	var last string
	for i := range batch.Wins {
		if text := batch.Wins[i].RedPacket; text != last {
			last = text
			if id, err := s.h.ids.Parse(text); err == nil {
				if _, ok := s.ticks[id]; !ok {
					s.ticks[id] = due
				}
			}
		}
	}
}

// deliver ends the moves that the ledger has by now. It need not: what is not done here, because
// the settler dies or the part is not dry, the closer finds.
func (s *Settler) deliver(ctx context.Context) {
	now := s.h.now()
	for id, due := range s.moves {
		if now.Before(due) {
			continue
		}
		parts, err := s.h.partsOf(ctx, id)
		waiting := 0
		if err == nil && parts > 1 {
			list := s.h.pieces(ctx, id, parts, 0)
			waiting, err = s.h.deliver(ctx, s.Ledger, id, list)
		}
		switch {
		case err != nil:
			s.Log.Debug("settle: delivering moves", "redpacket", id.String(), "err", err)
			s.moves[id] = now.Add(100 * time.Millisecond)
		case waiting == 0:
			delete(s.moves, id)
		default:
			s.moves[id] = now.Add(20 * time.Millisecond)
		}
	}
}

// tick emits the records that lag. It is a courtesy: an error is tried again later.
func (s *Settler) tick(ctx context.Context) {
	now := s.h.now()
	for id, due := range s.ticks {
		if now.Before(due) {
			continue
		}
		k := &s.h.keys[id.Bucket()]
		text := id.String()
		reply, _, err := s.h.run(ctx, id.Bucket(), script.Tick, k.base(k.rp(text)), []string{text}, nil)
		if word, rest, _ := strings.Cut(string(reply), "|"); err == nil && word == "spread" {
			parts, _ := strconv.Atoi(rest)
			list := s.h.pieces(ctx, id, parts, 0)
			if err = broken(list); err == nil {
				reply, _, err = s.h.run(ctx, id.Bucket(), script.Tick, k.base(k.rp(text)), append([]string{text}, totalArgs(list)...), nil)
			}
		}
		if err == nil && string(reply) != "wait" {
			delete(s.ticks, id)
		} else {
			s.ticks[id] = now.Add(100 * time.Millisecond)
		}
	}
}

// trim drops what is settled from the win streams.
func (s *Settler) trim(ctx context.Context) {
	now := s.h.now()
	if now.Sub(s.trimAt) < time.Second && !now.Before(s.trimAt) {
		return
	}
	s.trimAt = now
	pipe := s.h.control.Pipeline()
	for b, p := range s.pos {
		if p.Seq > s.trimmed[b] {
			pipe.XTrimMinID(ctx, s.h.keys[b].win, p.String())
			s.trimmed[b] = p.Seq
		}
	}
	if pipe.Len() > 0 {
		pipe.Exec(ctx) // next second again
	}
}

// tell wakes those who wait for a bucket.
func (s *Settler) tell(b int, seq uint64, stuck error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[b] = max(s.settled[b], seq)
	s.stuck[b] = stuck
	keep := s.waiters[b][:0]
	for _, w := range s.waiters[b] {
		switch {
		case w.seq <= s.settled[b]:
			w.done <- nil
		case stuck != nil:
			w.done <- stuck
		default:
			keep = append(keep, w)
		}
	}
	clear(s.waiters[b][len(keep):])
	s.waiters[b] = keep
}

// WaitSettled returns when the ledger has the event at pos, or with the reason why it won't
// for now. The embedded house tells nobody of a win before.
func (s *Settler) WaitSettled(ctx context.Context, pos Position) error {
	s.mu.Lock()
	if s.settled[pos.Bucket] >= pos.Seq {
		s.mu.Unlock()
		return nil
	}
	if err := s.stuck[pos.Bucket]; err != nil {
		s.mu.Unlock()
		return err
	}
	w := waiter{seq: pos.Seq, done: make(chan error, 1)}
	s.waiters[pos.Bucket] = append(s.waiters[pos.Bucket], w)
	s.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiters[pos.Bucket] = slices.DeleteFunc(s.waiters[pos.Bucket], func(other waiter) bool { return other.done == w.done })
		return ctx.Err()
	}
}
