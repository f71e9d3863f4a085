package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/bench/load"
	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/load/token"
	"sluice/bench/peers/rig"
	"sluice/bench/procs"
)

// sample is what one run showed.
type sample struct {
	requests float64
	seconds  float64
	cpu      cpu
	errors   int64
	res      *record.Result
}

// cpu is what the processes behind a peer used: gateway, memcached, Redis, sync.
type cpu [4]time.Duration

// read adds the processes' counters times n.
func (c *cpu) read(p *peer, name string, n time.Duration) error {
	stores := p.stores
	if name == "get" && p.behind != nil {
		stores = p.behind
	}
	for i, proc := range []*rig.Proc{p.gateway, stores.Memcached, stores.Redis, p.sync} {
		if proc == nil { // only sluice has a sync
			continue
		}
		pids, err := proc.PIDs()
		if err != nil {
			return err
		}
		used, err := procs.Sum(pids)
		if err != nil {
			return err
		}
		c[i] += n * used
	}
	return nil
}

// gateway is never zero, to be divided by.
func (c *cpu) gateway() float64 { return max(c[0].Seconds(), 1e-9) }

// row is one peer in one case at one number of connections.
type row struct {
	peer      *peer
	name      string
	conns     int
	perCPU    float64    // requests per gateway CPU-second
	micros    [4]float64 // CPU a request: gateway, memcached, Redis, sync
	rate      float64    // closed loop
	openRate  float64
	p50       float64 // microseconds, open loop, from the intended moment
	p99, p999 float64
	errors    int64
	invalid   string
}

// three is the CPU of a request over gateway, memcached and Redis, in microseconds.
func (r *row) three() float64 { return r.micros[0] + r.micros[1] + r.micros[2] }

// runUp grows with the connections: all of them must have been served once before counting begins.
func runUp(conns int) time.Duration {
	return 300*time.Millisecond + time.Duration(conns)*400*time.Microsecond
}

// measure runs the whole matrix.
func measure(ctx context.Context, o options, peers []*peer) (rows []*row, err error) {
	all := peers
	for _, name := range o.cases {
		peers := all
		if name == "get" { // the file peer's get is sluice's own: the same handler
			peers = slices.DeleteFunc(slices.Clone(all), func(p *peer) bool { return p.key == "file" })
		}
		for _, conns := range o.conns {
			group := make([]*row, len(peers))
			sums := make([]sample, len(peers))
			for i, p := range peers {
				group[i] = &row{peer: p, name: name, conns: conns}
			}
			for round := range o.rounds {
				for k := range peers {
					i := k
					if round%2 == 1 { // A B C, then C B A: a machine that warms up or cools favours nobody
						i = len(peers) - 1 - k
					}
					s, err := one(ctx, peers[i], name, conns, 0, o.run)
					if err != nil {
						return nil, err
					}
					sums[i].add(s)
				}
			}
			slowest := 1e12
			for i, r := range group {
				r.fill(&sums[i])
				slowest = min(slowest, r.rate)
			}
			for i, p := range peers {
				if o.quick && conns != o.conns[0] {
					break
				}
				s, err := one(ctx, p, name, conns, 0.6*slowest, o.run)
				if err != nil {
					return nil, err
				}
				r := group[i]
				r.openRate, r.p50, r.p99, r.p999 = 0.6*slowest, s.res.Latency.P50, s.res.Latency.P99, s.res.Latency.P999
				r.errors += s.errors
				if !s.res.Valid {
					r.invalid = fmt.Sprint(s.res.Invalid)
				}
			}
			for _, r := range group {
				fmt.Printf("%-6s %5d connections  %-20s %9.0f req/CPU-s  %6.1f us/req with memcached and Redis  %7.0f/s  p99 %6.0f us  errors %d\n", r.name, r.conns, r.peer.name, r.perCPU, r.three(), r.rate, r.p99, r.errors)
			}
			rows = append(rows, group...)
		}
	}
	return rows, nil
}

func (s *sample) add(more *sample) {
	s.requests += more.requests
	s.seconds += more.seconds
	for i := range s.cpu {
		s.cpu[i] += more.cpu[i]
	}
	s.errors += more.errors
}

func (r *row) fill(s *sample) {
	r.perCPU = s.requests / s.cpu.gateway()
	for i, used := range s.cpu {
		r.micros[i] = used.Seconds() * 1e6 / max(s.requests, 1)
	}
	r.rate = s.requests / max(s.seconds, 1e-9)
	r.errors = s.errors
}

// one runs one case against one peer: closed loop when rate is 0.
func one(ctx context.Context, p *peer, name string, conns int, rate float64, d time.Duration) (*sample, error) {
	s := &sample{}
	var failed error
	mark := func(begin bool) {
		times := time.Duration(1)
		if begin {
			times = -1
		}
		failed = errors.Join(failed, s.cpu.read(p, name, times))
	}
	cfg := load.Config{Closed: rate == 0, Connections: conns, MaxConnections: conns, RunUp: runUp(conns), Duration: d, Timeout: 15 * time.Second, Measure: mark}
	if rate > 0 {
		cfg.Curve, cfg.Poisson = arrival.Constant{Rate: rate}, true
	}
	res, err := drive(ctx, p, name, cfg)
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	// An overloaded sluice tells some "later" (503): that is no right answer, so it does not count as work done.
	s.requests, s.seconds, s.errors, s.res = float64(res.Requests-res.Errors), res.Seconds, res.Errors, res
	if (res.Errors-res.Statuses["503"])*100 > res.Requests {
		return nil, fmt.Errorf("%s, %s, %d connections: %d of %d requests failed: %v, statuses %v, outcomes %v\n%s", p.name, name, conns, res.Errors, res.Requests, res.Failures, res.Statuses, res.Outcomes, p.gateway.Log())
	}
	return s, nil
}

// drive runs what users do in a case against a peer.
func drive(ctx context.Context, p *peer, name string, cfg load.Config) (*record.Result, error) {
	prog, err := program(name, p)
	if err != nil {
		return nil, err
	}
	cfg.Targets, cfg.Program, cfg.Seed = []string{p.base}, prog, 1
	cfg.Minter = token.New(kid, []byte(secret), time.Now().Add(time.Hour))
	res, err := load.Run(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s, %s, %d connections: %w\n%s", p.name, name, cfg.Connections, err, p.gateway.Log())
	}
	if name == "win" || name == "mixed" {
		p.users += uint64(res.UsersArrived)
	}
	if p.users > winners { // who is not in the cache is asked for at home, by sluice alone
		return nil, fmt.Errorf("%s has seen %d users, of whom %d were warmed: measure less at once", p.name, p.users, winners)
	}
	return res, nil
}
