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

// cpu is what the processes behind a peer used.
type cpu struct{ gateway, memcached, redis, sync time.Duration }

// of reads the processes' counters for a case.
func (c *cpu) of(p *peer, name string) error {
	stores := p.stores
	if name == "get" && p.behind != nil {
		stores = p.behind
	}
	for _, one := range []struct {
		proc *rig.Proc
		sum  *time.Duration
	}{{p.gateway, &c.gateway}, {stores.Memcached, &c.memcached}, {stores.Redis, &c.redis}, {p.sync, &c.sync}} {
		if one.proc == nil { // only sluice has a sync
			continue
		}
		pids, err := one.proc.PIDs()
		if err != nil {
			return err
		}
		if *one.sum, err = procs.Sum(pids); err != nil {
			return err
		}
	}
	return nil
}

// plus adds o times n.
func (c cpu) plus(o cpu, n time.Duration) cpu {
	return cpu{c.gateway + n*o.gateway, c.memcached + n*o.memcached, c.redis + n*o.redis, c.sync + n*o.sync}
}

func (c cpu) per(requests float64) (micros [4]float64) {
	for i, d := range []time.Duration{c.gateway, c.memcached, c.redis, c.sync} {
		micros[i] = d.Seconds() * 1e6 / max(requests, 1)
	}
	return micros
}

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
	s.cpu = s.cpu.plus(more.cpu, 1)
	s.errors += more.errors
}

func (r *row) fill(s *sample) {
	r.perCPU = s.requests / max(s.cpu.gateway.Seconds(), 1e-9)
	r.micros = s.cpu.per(s.requests)
	r.rate = s.requests / max(s.seconds, 1e-9)
	r.errors = s.errors
}

// one runs one case against one peer: closed loop when rate is 0.
func one(ctx context.Context, p *peer, name string, conns int, rate float64, d time.Duration) (*sample, error) {
	s := &sample{}
	var failed error
	mark := func(begin bool) {
		var now cpu
		failed = errors.Join(failed, now.of(p, name))
		if begin {
			s.cpu = now
		} else {
			s.cpu = now.plus(s.cpu, -1)
		}
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
