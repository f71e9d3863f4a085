package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/bench/load"
	"sluice/bench/load/arrival"
	"sluice/bench/peers/rig"
	"sluice/bench/procs"
)

// What sluice's gateway must hold: a store that stands still at full load, and long hours.

// memory watches how much a process holds until stop is called.
type memory struct {
	mu    sync.Mutex
	bytes []int64 // every 100 ms
	err   error
}

func watch(ctx context.Context, p *rig.Proc) (m *memory, stop func()) {
	m = &memory{}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				n, err := procs.RSS(p.PID())
				m.mu.Lock()
				m.bytes, m.err = append(m.bytes, n), errors.Join(m.err, err)
				m.mu.Unlock()
			}
		}
	}()
	return m, func() { cancel(); <-done }
}

// most is the largest in MB from one moment to another.
func (m *memory) most(from, to time.Duration) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := int64(0)
	for i, v := range m.bytes {
		if at := time.Duration(i) * 100 * time.Millisecond; at >= from && at < to {
			n = max(n, v)
		}
	}
	return float64(n) / (1 << 20)
}

// The time line of a stall.
const (
	stallBefore = 3 * time.Second
	stallAfter  = 5 * time.Second
)

// stall stops memcached, then Redis, for d in the middle of winning draws at full load, and prints
// what clients saw.
func stall(ctx context.Context, o options, p *peer, d time.Duration) error {
	line := ""
	for _, store := range []*rig.Proc{p.stores.Memcached, p.stores.Redis} {
		for _, conns := range o.conns {
			text, err := stallOne(ctx, p, store, conns, d)
			if err != nil {
				return err
			}
			line += text + " "
		}
	}
	fmt.Println(line)
	return nil
}

func stallOne(ctx context.Context, p *peer, store *rig.Proc, conns int, d time.Duration) (string, error) {
	var harm error
	hurt := make(chan struct{})
	rss, stop := watch(ctx, p.gateway)
	defer stop()
	up := runUp(conns)
	res, err := drive(ctx, p, "win", load.Config{Closed: true, Connections: conns, MaxConnections: conns, RunUp: up,
		Duration: stallBefore + d + stallAfter, Measure: func(begin bool) {
			if !begin {
				return
			}
			go func() {
				defer close(hurt)
				time.Sleep(stallBefore)
				harm = store.Pause()
				time.Sleep(d)
				harm = errors.Join(harm, store.Continue())
			}()
		}})
	if err != nil {
		return "", err
	}
	if <-hurt; harm != nil {
		return "", harm
	}
	from, to := stallBefore.Seconds(), (stallBefore + d).Seconds()
	var good, worst float64
	back := -1.0
	before, n, refused, answered := 0.0, 0.0, int64(0), int64(0)
	for _, pt := range res.Series {
		good = float64(pt.Count-pt.Errors) * 1000 / float64(res.WidthMS)
		switch {
		case pt.At >= 1 && pt.At < from-0.1:
			before, n = before+good, n+1
		case pt.At >= from && pt.At < to:
			refused, answered = refused+pt.Errors, answered+pt.Count
			worst = max(worst, pt.Max)
		case pt.At >= to && back < 0:
			if worst = max(worst, pt.Max); good >= 0.9*before/max(n, 1) {
				back = pt.At - to
			}
		}
	}
	if others := res.Errors - res.Statuses["503"]; others != 0 {
		return "", fmt.Errorf("%s stopped: %d requests failed otherwise than by 503: %v, statuses %v", store.Name, others, res.Failures, res.Statuses)
	}
	first := up + stallBefore
	fmt.Printf("%-18s stopped for %v at %4d connections: %6.0f draws/s before; %d answers meanwhile, %d of them 503, the slowest after %.0f ms; "+
		"90 %% of the rate again %.1f s after it went on; gateway %.0f MB before, %.0f MB at most\n", store.Name, d, conns, before/max(n, 1), answered, refused,
		worst/1000, back, rss.most(0, first), rss.most(0, time.Hour))
	return fmt.Sprintf("%s_%d_back_s=%.1f %s_%d_slowest_ms=%.0f", store.Name, conns, back, store.Name, conns, worst/1000), rss.err
}

// soak runs the mix at 80 % of its full rate and prints the gateway's memory of every minute.
func soak(ctx context.Context, o options, p *peer, d time.Duration) error {
	conns := o.conns[0]
	full, err := one(ctx, p, "mixed", conns, 0, 5*time.Second)
	if err != nil {
		return err
	}
	rate := 0.8 * full.requests / full.seconds
	fmt.Printf("mixed, %d connections: %.0f/s at full load; %.0f/s for %v\n", conns, rate/0.8, rate, d)
	rss, stop := watch(ctx, p.gateway)
	defer stop()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	go func() {
		for i := range int(d / time.Minute) {
			<-tick.C
			fmt.Printf("minute %2d: at most %.0f MB\n", i+1, rss.most(time.Duration(i)*time.Minute, time.Duration(i+1)*time.Minute))
		}
	}()
	res, err := drive(ctx, p, "soak", load.Config{Curve: arrival.Constant{Rate: rate}, Poisson: true, Connections: conns, MaxConnections: conns, RunUp: time.Second, Duration: d})
	if err != nil {
		return err
	}
	part := d / 5
	fmt.Printf("%d requests, %d errors %v; p50 %.0f us, p99 %.0f us\n", res.Requests, res.Errors, res.Statuses, res.Latency.P50, res.Latency.P99)
	fmt.Printf("rss_mb_second_fifth=%.0f rss_mb_last_fifth=%.0f\n", rss.most(part, 2*part), rss.most(4*part, d))
	return rss.err
}
