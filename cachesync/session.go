package cachesync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
)

var (
	// ErrDrained ends Run: the region was drained and has left.
	ErrDrained = errors.New("cachesync: the region was drained")

	errRejoin = errors.New("cachesync: changes are gone from a change log: joining again")
)

// Run works until the context ends, the region is drained (ErrDrained), or another process
// takes its place (region.ErrFenced, apply.ErrFenced).
func (s *Syncer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := func(f func(context.Context) error, what string) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(ctx); err != nil && ctx.Err() == nil {
				s.deps.Log.Error("sync: "+what+" ended", "region", s.cfg.Region, "err", err)
			}
		}()
	}
	for _, l := range s.links {
		if l.home.Name == s.cfg.Region {
			start(func(ctx context.Context) error { return s.beats(ctx, l) }, "heartbeat")
			start(func(ctx context.Context) error { return s.trims(ctx, l) }, "trimming")
			if len(s.deps.Truth) > 0 {
				start(func(ctx context.Context) error { return s.again.mend(ctx, l) }, "repair of unreadable changes")
			}
			if len(s.deps.Truth) > 0 && s.cfg.AgainPerSecond > 0 {
				start(func(ctx context.Context) error { return s.again.run(ctx, l) }, "anti-entropy")
			}
			if s.cfg.RelayListen != "" {
				start(func(ctx context.Context) error { return s.relays(ctx, l) }, "relay")
			}
		}
	}
	start(s.ticks, "ticks of local copies")
	start(s.probes.run, "probes")
	start(s.rewarm, "warming of cold nodes")
	if s.owned != nil {
		start(s.watchNodes, "watch of memcached")
	}
	if s.feed != nil {
		start(func(ctx context.Context) error { return s.feed.serve(ctx, s.cfg.Invalidations) }, "invalidation feed")
	}
	claim := region.State("")
	for {
		m, err := s.enter(ctx, claim)
		if err == nil {
			err = s.session(ctx, m)
			claim = m.claim()
		}
		if ctx.Err() == nil && errors.Is(err, errRejoin) {
			err = m.rejoins(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrDrained):
			s.forgetReader(ctx) // again: an applier may have told its position after the first time
			return err
		case errors.Is(err, errRejoin):
			s.deps.Log.Error("changes are gone from a change log: this region empties its cache and joins again", "region", s.cfg.Region)
			s.empty(ctx)
			s.forgetReader(ctx) // its old position is of no use
			claim = region.Joining
		case errors.Is(err, region.ErrLost):
			s.deps.Log.Warn("this region fell off the list of regions: registering again", "region", s.cfg.Region)
		default:
			return err
		}
	}
}

// forgetReader tells the homes that this region's position is of no use: nobody waits for it.
func (s *Syncer) forgetReader(ctx context.Context) {
	for _, l := range s.links {
		if err := changelog.Leave(ctx, l.rdb, s.cfg.Region); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("a home still keeps its change log for this region, until the lease ends", "home", l.home.Name, "err", err)
		}
	}
}

// session is one stay in the list of regions: appliers run from their saved positions; where
// there are none, the region copies a neighbour first.
func (s *Syncer) session(ctx context.Context, m *member) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	select {
	case <-s.gap:
	default:
	}
	neighbour, bare, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	for _, l := range s.links {
		s.arm(l)
		if err := s.ack(ctx, l, nil); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("a home cannot be told where this region goes on", "home", l.home.Name, "err", err)
		}
		for _, a := range l.all() {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := a.Run(ctx); errors.Is(err, apply.ErrFenced) {
					cancel(err) // another process does this region's work now
				}
			}()
		}
	}
	if m != nil {
		wg.Add(1)
		go func() { defer wg.Done(); cancel(m.keep(ctx)) }()
	}
	wg.Add(1)
	go func() { // at any moment, also while joining: a bucket with a gap is never "close behind"
		defer wg.Done()
		select {
		case <-s.gap:
			cancel(errRejoin)
		case <-ctx.Done():
		}
	}()
	if err := s.join(ctx, m, neighbour, bare); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// rejoin is what appliers call when changes are gone: the session ends, and with it the
// context of the caller.
func (s *Syncer) rejoin(ctx context.Context) error {
	select {
	case s.gap <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

// prepare finds out where this region goes on: from positions saved in its own memcached;
// else (memcached lost them, with its data) from what it last told the homes; else it is new
// here: it begins at a neighbour's positions, or at the head of the logs, with an empty cache. bare
// says that memcached has lost its data, or never had any.
func (s *Syncer) prepare(ctx context.Context) (neighbour *region.Region, bare bool, err error) {
	for _, l := range s.links {
		l.mu.Lock()
		l.start = nil
		l.mu.Unlock()
	}
	saved, err := s.saved(ctx)
	if err != nil || saved {
		return nil, false, err
	}
	if s.beginAt(ctx, s.cfg.Region) == nil {
		return nil, true, nil
	}
	s.say("looking for a neighbour", 0)
	if neighbour, err = s.neighbour(ctx); err != nil {
		return nil, true, err
	}
	if neighbour == nil {
		for _, l := range s.links {
			if err := s.beginAtHead(ctx, l); err != nil {
				return nil, true, err
			}
		}
	}
	// A fill that asked its home before these positions may still be written: wait for it,
	// then empty. What is filled from now on is as new as where we begin.
	pause(ctx, MaxFillAge+100*time.Millisecond)
	s.empty(ctx)
	return neighbour, true, ctx.Err()
}

// neighbour picks an active region to copy and begins at its positions: all that it has not
// written yet will come through the logs.
func (s *Syncer) neighbour(ctx context.Context) (*region.Region, error) {
	if s.registry == nil {
		return nil, nil
	}
	list, err := s.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	s.situate(list)
	for i := range list {
		if r := &list[i]; r.Name != s.cfg.Region && r.State == region.Active && len(r.Memcached) > 0 && s.beginAt(ctx, r.Name) == nil {
			return r, nil
		}
	}
	return nil, nil
}

func (s *Syncer) beginAtHead(ctx context.Context, l *link) error {
	at := map[int]changelog.ID{}
	for b := range Buckets {
		id, err := changelog.Head(ctx, l.rdb, b)
		if err != nil {
			return err
		}
		at[b] = id
	}
	l.mu.Lock()
	l.start = at
	l.mu.Unlock()
	return s.ackAt(ctx, l, joiningMark, at)
}

// saved reports whether the positions of all buckets are saved here: one that is missing was
// being repaired, or its node lost it. Those of a home that are all there it is told at once: a
// region that was drained, or away for long, is waited for by nobody, and its change log would be
// trimmed under its first reads.
func (s *Syncer) saved(ctx context.Context) (bool, error) {
	p := &apply.CachePositions{Store: s.store, Now: s.deps.Now}
	for try := 0; ; try++ {
		var failed error
		whole, none := true, true
		for _, l := range s.links {
			have := map[int]changelog.ID{}
			for _, buckets := range groups(l.home.Redis.Cluster) {
				at, _, err := p.Look(ctx, l.home.PositionName(buckets[0]))
				if err != nil {
					failed = err
				}
				maps.Copy(have, at)
			}
			whole, none = whole && len(have) == Buckets, none && len(have) == 0
			if len(have) < Buckets {
				continue
			}
			l.mu.Lock()
			l.start = have
			l.mu.Unlock()
			if err := s.ackAt(ctx, l, "", have); err != nil && ctx.Err() == nil {
				s.deps.Log.Warn("a home cannot be told where this region goes on", "home", l.home.Name, "err", err)
			}
		}
		if failed == nil || !none {
			return whole, nil
		}
		if try == 0 {
			s.deps.Log.Warn("own memcached does not answer", "region", s.cfg.Region, "err", failed)
		}
		if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// joiningMark stands before the positions of a region that has not emptied its cache yet: they
// keep the logs, but nothing here is as new as they say.
const joiningMark = "joining "

// beginAt takes a region's positions for all homes, and tells the homes to keep their
// logs from there on.
func (s *Syncer) beginAt(ctx context.Context, neighbour string) error {
	mark := ""
	if neighbour != s.cfg.Region {
		mark = joiningMark
	}
	for _, l := range s.links {
		text, err := l.rdb.HGet(ctx, changelog.ReadersKey, neighbour).Result()
		if err != nil {
			return fmt.Errorf("cachesync: positions of %s at home %s: %w", neighbour, l.home.Name, err)
		}
		at := apply.ParsePositions(text)
		if len(at) < Buckets || strings.Contains(text, joiningMark) { // of a cluster each bucket's applier begins to tell by itself
			return fmt.Errorf("cachesync: %s has told home %s the positions of %d of %d buckets", neighbour, l.home.Name, len(at), Buckets)
		}
		if err := s.ackAt(ctx, l, mark, at); err != nil {
			return err
		}
		l.mu.Lock()
		l.start = at
		l.mu.Unlock()
	}
	return nil
}

func (s *Syncer) startOf(ctx context.Context, l *link, bucket int) (changelog.ID, error) {
	l.mu.Lock()
	id, ok := l.start[bucket]
	l.mu.Unlock()
	if ok {
		return id, nil
	}
	return changelog.Head(ctx, l.rdb, bucket)
}

// empty flushes this region's own nodes. One that does not answer now is emptied before it is
// used again: what it holds is older than where this region goes on.
func (s *Syncer) empty(ctx context.Context) {
	if s.client == nil {
		return
	}
	for _, node := range s.client.Nodes() {
		if err := s.client.FlushNode(ctx, node); err != nil {
			s.deps.Log.Warn("own memcached cannot be emptied now: it will be when it answers", "node", node, "err", err)
			s.client.MustEmpty(node)
		}
	}
	for _, c := range s.deps.Caches {
		c.Forget()
	}
}

// join brings this region to where it may be active: copied, warmed, close behind the homes,
// and a sample of what was copied is here. What nobody is there to be copied from, the own home
// lists. Without a list of regions it ends at once, as it does for a region that serves already.
func (s *Syncer) join(ctx context.Context, m *member, neighbour *region.Region, bare bool) error {
	if m == nil || m.is(region.Active) && neighbour == nil {
		if bare {
			s.warmSoon()
		}
		s.say("", 0)
		return nil
	}
	sample := s.copyFrom(ctx, neighbour)
	if bare && neighbour == nil {
		s.say("warming", 0)
		if s.warm(ctx) != "" {
			s.warmSoon()
		}
	}
	s.say("catching up", 0)
	var since time.Time // close behind the homes, and the sample is not here
	for {
		switch near := s.close50ms(); {
		case !near:
			since = time.Time{}
		case s.has(ctx, sample):
			s.say("", 1)
			m.want(region.Active)
			return nil
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > copyLost:
			s.deps.Log.Warn("what was copied is gone again: copying once more", "neighbour", neighbour.Name)
			sample, since = s.copyFrom(ctx, neighbour), time.Time{}
			s.say("catching up", 0)
		}
		if pause(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// copyLost is how long the sample may be missing before the neighbour is copied again: own
// memcached was restarted meanwhile.
const copyLost = 2 * time.Second

// copyFrom copies a neighbour's memcached and keeps a sample; without a neighbour there is
// nothing to copy. What cannot be copied will be filled on demand.
func (s *Syncer) copyFrom(ctx context.Context, r *region.Region) (sample []apply.Write) {
	if r == nil {
		return nil
	}
	failed := func(err error) {
		s.deps.Log.Error("neighbour could not be copied whole: what is missing will be filled on demand", "neighbour", r.Name, "err", err)
	}
	from, err := memcache.New(memcache.Config{Servers: r.Memcached, Dial: s.deps.Dial, Timeout: 5 * time.Second})
	if err != nil {
		failed(err)
		return nil
	}
	defer from.Close()
	s.say("copying "+r.Name, 0)
	all := 1.0
	for _, node := range r.Memcached {
		if health, err := from.NodeHealth(ctx, node); err == nil {
			all += float64(health.Items)
		}
	}
	_, err = region.Copy(ctx, from, s.store, r.Memcached, s.deps.Dial, func(n int, writes []apply.Write) {
		s.say("copying "+r.Name, min(1, float64(n)/all))
		if len(writes) > 0 && len(sample) < 200 {
			w := writes[len(writes)/2]
			w.Record.Payload = nil
			sample = append(sample, w)
		}
	})
	if err != nil && ctx.Err() == nil {
		failed(err)
	}
	return sample
}

// close50ms reports whether all links have been read to their end and are less than 50 ms behind.
func (s *Syncer) close50ms() bool {
	for _, l := range s.links {
		for _, a := range l.all() {
			if st := a.Stats(); !st.Connected || !st.Settled || st.Lag >= 50*time.Millisecond || st.Repairing > 0 {
				return false
			}
		}
	}
	return true
}

// has probes a sample: each key is here as new as it was there, or was evicted.
func (s *Syncer) has(ctx context.Context, sample []apply.Write) bool {
	reads := make([]memcache.Op, len(sample))
	for i := range sample {
		reads[i] = memcache.Op{Kind: memcache.Get, Key: sample[i].Key}
	}
	s.store.Do(ctx, reads)
	missing := 0
	for i := range reads {
		r, err := Parse(reads[i].Value)
		switch {
		case reads[i].Err != nil || err != nil:
			missing++
		case r.Version < sample[i].Record.Version:
			return false
		}
	}
	return missing <= len(sample)/10
}

func (s *Syncer) say(what string, progress float64) { s.step.Store(&step{what, progress}) }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
