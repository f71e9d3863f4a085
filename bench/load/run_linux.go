package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/procs"
)

// Run runs the load and says what happened. Cancelling ctx ends it early, with what was measured.
func Run(ctx context.Context, cfg Config) (*record.Result, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	var targets []target
	for _, raw := range cfg.Targets {
		t, err := resolve(ctx, raw)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	loops := make([]*loop, cfg.Loops)
	recs := make([]*record.Recorder, cfg.Loops)
	for i := range loops {
		loops[i] = newLoop(&cfg, targets, i)
		recs[i] = loops[i].rec
	}
	started, use, err := drive(ctx, &cfg, loops, recs)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(cfg.Program.Requests))
	for i, r := range cfg.Program.Requests {
		names[i] = r.Name
	}
	measured := min(cfg.Duration, max(time.Since(started)-cfg.RunUp, time.Millisecond))
	res := record.Gather(recs, names, measured)
	res.Started, res.Targets, res.Scenario = started.UTC(), cfg.Targets, cfg.Program.Name
	res.Arrivals = fmt.Sprintf("closed:connections=%d", cfg.Connections)
	if !cfg.Closed {
		res.Arrivals = cfg.Curve.String()
		res.Planned = (cfg.Curve.Hits(cfg.RunUp+cfg.Duration) - cfg.Curve.Hits(cfg.RunUp)) / float64(cfg.Parts)
	}
	res.Generator = record.Generator{CPUSeconds: use.Seconds(), Loops: cfg.Loops}
	if res.Requests > 0 {
		res.Generator.CPUMicrosReq = use.Seconds() * 1e6 / float64(res.Requests)
	}
	Judge(res, cfg.MaxLag)
	if ctx.Err() != nil {
		res.Valid, res.Invalid = false, append(res.Invalid, fmt.Sprintf("it was interrupted after %s of %s", measured.Round(time.Millisecond), cfg.Duration))
	}
	return res, nil
}

// Judge marks a result invalid when the generator, not the server, was the limit.
func Judge(res *record.Result, maxLag time.Duration) {
	res.Invalid = nil
	if lag := time.Duration(res.Lag.P99 * 1e3); lag > maxLag {
		res.Invalid = append(res.Invalid, fmt.Sprintf("the generator's own lag has a p99 of %s, above %s: give it a machine of its own, more workers, or a lower rate", lag.Round(time.Microsecond), maxLag))
	}
	if res.Dropped*1000 > res.UsersArrived {
		res.Invalid = append(res.Invalid, fmt.Sprintf("%d of %d arrivals were dropped because too many users were in flight: raise --max-users", res.Dropped, res.UsersArrived))
	}
	if res.Requests == 0 {
		res.Invalid = append(res.Invalid, "no request was made")
	}
	res.Valid = len(res.Invalid) == 0
}

func newLoop(cfg *Config, targets []target, i int) *loop {
	end := cfg.RunUp + cfg.Duration
	part, parts := cfg.Part*cfg.Loops+i, cfg.Parts*cfg.Loops
	l := &loop{cfg: cfg, prog: cfg.Program, targets: targets, part: uint64(part), parts: uint64(parts), stop: int64(end),
		rnd: rand.New(rand.NewPCG(cfg.Seed, uint64(part))), buf: make([]byte, 64<<10), maxUsers: max(cfg.MaxUsers/cfg.Loops, 1),
		rec: record.New(len(cfg.Program.Requests), cfg.RunUp, end, record.Width(cfg.Duration))}
	if cfg.Closed {
		l.rec.CountByDone()
	} else {
		l.schedule = arrival.NewSchedule(cfg.Curve, end, part, parts)
		if cfg.Poisson {
			l.schedule.Poisson(rand.New(rand.NewPCG(cfg.Seed+1, uint64(part))))
		}
	}
	if cfg.Minter != nil {
		l.minter = cfg.Minter.Clone()
		if n := cfg.Program.Users.Count; n > 0 && n <= 1<<16 {
			l.tokens = make([][]byte, n)
		}
	}
	places := share(cfg.MaxConnections, cfg.Loops, i)
	if cfg.Closed {
		places = share(cfg.Connections, cfg.Loops, i)
	}
	for k := range max(places, 1) {
		c := &conn{index: int32(k), fd: -1, target: (k + i) % len(targets)}
		l.conns = append(l.conns, c)
	}
	for k := len(l.conns) - 1; k >= 0; k-- { // the first places are taken first
		l.free = append(l.free, l.conns[k])
	}
	return l
}

func share(n, parts, i int) int { return n/parts + min(1, max(0, n%parts-i)) }

// drive opens the connections, waits for the common start, and runs the loops to their end.
func drive(ctx context.Context, cfg *Config, loops []*loop, recs []*record.Recorder) (started time.Time, use time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(loops))
	var ready, finished sync.WaitGroup
	begin := make(chan time.Time)
	for i, l := range loops {
		ready.Add(1)
		finished.Go(func() {
			// The thread must live on: children started from it with Pdeathsig would die with it.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if l.poll, errs[i] = newPoller(); errs[i] == nil {
				defer l.poll.close()
				defer l.closeAll()
				errs[i] = l.connect(ctx, share(cfg.Connections, cfg.Loops, i))
			}
			ready.Done()
			l.base = <-begin
			if errs[i] == nil {
				l.run(ctx)
			}
		})
	}
	ready.Wait()
	for _, e := range errs {
		if e != nil && err == nil {
			err = e
			cancel()
		}
	}
	started = time.Now().Add(20 * time.Millisecond)
	if cfg.StartAt.After(started) {
		started = started.Add(cfg.StartAt.Sub(started))
	}
	ended := make(chan struct{})
	var side sync.WaitGroup
	if err == nil {
		side.Go(func() { use = measure(cfg, started, ended) })
		if cfg.View != nil {
			side.Go(func() { view(cfg, recs, started, ended) })
		}
	}
	select {
	case <-time.After(time.Until(started) - 10*time.Millisecond):
	case <-ctx.Done():
	}
	for range loops {
		begin <- started
	}
	finished.Wait()
	close(ended)
	side.Wait()
	return started, use, err
}

// measure marks both ends of the measured part and returns this process' CPU time between them.
func measure(cfg *Config, started time.Time, ended <-chan struct{}) time.Duration {
	wait := func(at time.Time) {
		select {
		case <-time.After(time.Until(at)):
		case <-ended:
		}
	}
	mark := func(begin bool) time.Duration {
		if cfg.Measure != nil {
			cfg.Measure(begin)
		}
		return procs.Self()
	}
	wait(started.Add(cfg.RunUp))
	from := mark(true)
	wait(started.Add(cfg.RunUp + cfg.Duration))
	return mark(false) - from
}

func view(cfg *Config, recs []*record.Recorder, started time.Time, ended <-chan struct{}) {
	tick := time.NewTicker(ViewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if at := time.Since(started); at > 0 {
				cfg.View(recs, at)
			}
		case <-ended:
			return
		}
	}
}

// connect opens n connections before the start and fails when the server refuses all of them.
func (l *loop) connect(ctx context.Context, n int) error {
	l.base = time.Now()
	if l.cfg.NewConnections {
		return nil
	}
	l.rec.Lock()
	defer l.rec.Unlock()
	deadline := l.now() + int64(l.cfg.Timeout)
	for tries := 0; l.idle.size < n; {
		for l.live < n && l.live-l.idle.size < 128 && tries < 2*n+64 { // a listen queue is not endless
			c := l.free[len(l.free)-1]
			l.free = l.free[:len(l.free)-1]
			tries++
			l.open(c, nil)
		}
		for _, e := range l.poll.wait(time.Millisecond) {
			if c := l.conns[e.Fd]; c.generation == e.Pad && c.state != closed {
				l.ready(c, e.Events)
			}
		}
		if l.idle.size < n && (l.now() > deadline || ctx.Err() != nil || l.live == 0 && tries >= 2*n+64) {
			return fmt.Errorf("load: only %d of %d connections to %s came up within %s: is it listening, and is the limit of open files (ulimit -n) high enough?",
				l.idle.size, n, l.targets[0].addr, l.cfg.Timeout)
		}
	}
	return nil
}

func (l *loop) closeAll() {
	for _, c := range l.conns {
		l.close(c)
	}
}
