package cachesync

import (
	"context"
	"errors"
	"sync"
	"time"

	"sluice/cachesync/region"
)

// member is this region's place in the list of regions during one session.
type member struct {
	s     *Syncer
	token int64

	mu      sync.Mutex
	state   region.State
	wanted  region.State
	renewed time.Time
	listed  time.Time
}

// enter registers this region; without a control region there is nothing to enter. It tries
// until it succeeds.
func (s *Syncer) enter(ctx context.Context, claim region.State) (*member, error) {
	if s.registry == nil {
		return nil, nil
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		token, state, err := s.registry.Register(ctx, s.self(), claim)
		if err == nil {
			now := time.Now()
			return &member{s: s, token: token, state: state, renewed: now, listed: now}, nil
		}
		s.deps.Log.Warn("control region does not answer", "err", err)
		if pause(ctx, wait); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// self is what this region tells about itself.
func (s *Syncer) self() region.Region {
	me := region.Region{Name: s.cfg.Region, Class: s.cfg.Class, Memcached: s.cfg.Memcached}
	rep := &me.Report
	for _, st := range s.Stats().Links {
		rep.LagMS = max(rep.LagMS, float64(st.Lag)/1e6)
		rep.P50MS = max(rep.P50MS, float64(st.LagP50)/1e6)
		rep.P99MS = max(rep.P99MS, float64(st.LagP99)/1e6)
		rep.Applied += st.Changes
		rep.Backlog += st.Backlog
		rep.Gaps += st.Gaps
		for i, n := range st.Modes {
			rep.Modes[i] += n
		}
	}
	if p := s.step.Load(); p != nil && p.name != "" {
		rep.Step, rep.Progress = p.name, p.progress
	}
	rep.Nines, rep.Proofs = s.probes.nines(), s.probes.proofs()
	return me
}

// claim is the state this region may go on with after the list has lost it: it was active,
// and its appliers never stopped.
func (m *member) claim() region.State {
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == region.Active {
		return region.Active
	}
	return ""
}

// rejoins says what a session that ended in errRejoin comes to. Only who still has the
// region's place may empty its cache and begin again: a process that was paused (SIGSTOP) finds
// its changes gone too, but another one works in its place by now, and must not be robbed of its
// data and its token. A control region that does not answer for a lease is not waited for.
func (m *member) rejoins(ctx context.Context) error {
	if m == nil {
		return errRejoin
	}
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < m.s.cfg.Lease; pause(ctx, 100*time.Millisecond) {
		state, err := m.s.registry.Renew(ctx, m.s.self(), m.token, region.Joining)
		switch {
		case errors.Is(err, region.ErrFenced):
			return err
		case errors.Is(err, region.ErrLost):
			return errRejoin
		case err == nil && state == region.Draining:
			// Nobody waits for a region that leaves, so its change log may go: it does not come back.
			return m.leave(ctx)
		case err == nil:
			return errRejoin
		}
	}
	return errRejoin
}

func (m *member) is(st region.State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state == st
}

func (m *member) want(st region.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = st
}

// renewEvery and listEvery: a drain is known everywhere within 200 ms.
const (
	renewEvery = 500 * time.Millisecond
	listEvery  = 100 * time.Millisecond
)

// keep renews the lease and watches the others until the context ends or the place is lost.
func (m *member) keep(ctx context.Context) error {
	tick := time.NewTicker(listEvery)
	defer tick.Stop()
	var last time.Time
	var wanted region.State
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		m.look(ctx)
		m.mu.Lock()
		want := m.wanted
		m.mu.Unlock()
		if time.Since(last) < renewEvery && want == wanted {
			continue
		}
		last, wanted = time.Now(), want
		state, err := m.s.registry.Renew(ctx, m.s.self(), m.token, want)
		switch {
		case errors.Is(err, region.ErrFenced), errors.Is(err, region.ErrLost):
			return err
		case err != nil:
			continue // the control region is away: go on with what is known
		}
		m.mu.Lock()
		m.state, m.renewed = state, time.Now()
		m.mu.Unlock()
		if state == region.Draining {
			return m.leave(ctx)
		}
	}
}

// look reads the list. While the control region is away the last list holds for a lease;
// then nothing is known, and a backlog is not cut by deleting.
func (m *member) look(ctx context.Context) {
	list, err := m.s.registry.List(ctx)
	if err == nil {
		m.listed = time.Now()
		m.s.situate(list)
	} else if time.Since(m.listed) > m.s.cfg.Lease {
		m.s.classes.Store(false)
	}
}

func (s *Syncer) situate(list []region.Region) {
	all, draining := region.Present(list)
	s.classes.Store(all)
	s.drain.Store(draining)
	s.probes.peers.situate(list)
}

// drainTime is how long a drained region goes on serving those who are still there.
const drainTime = 2 * time.Second

// leave ends the stay of a drained region: others stop waiting for it.
func (m *member) leave(ctx context.Context) error {
	m.s.deps.Log.Info("this region is being drained", "region", m.s.cfg.Region)
	pause(ctx, drainTime)
	m.s.forgetReader(ctx)
	if err := m.s.registry.Leave(ctx, m.s.cfg.Region, m.token); err != nil {
		return err
	}
	return ErrDrained
}
