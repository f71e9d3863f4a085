package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// profile runs the cases against sluice alone and saves the gateway's CPU profile of that time: the
// mix that default.pgo is made of. It also prints where a request's CPU goes.
func profile(ctx context.Context, o options, p *peer) error {
	total := time.Duration(0)
	for _, conns := range o.conns {
		total += time.Duration(len(o.cases)) * (o.run + runUp(conns))
	}
	done := make(chan error, 1)
	go func() {
		done <- p.sluice.Save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(total.Seconds()))), o.profile)
	}()
	var sum sample
	for _, name := range o.cases {
		for _, conns := range o.conns {
			s, err := one(ctx, p, name, conns, 0, o.run)
			if err != nil {
				return err
			}
			sum.add(s)
			fmt.Printf("%-6s %5d connections %9.0f req/CPU-s %9.0f/s\n", name, conns, s.requests/s.cpu.gateway(), s.requests/s.seconds)
		}
	}
	if err := <-done; err != nil {
		return err
	}
	fmt.Println("profile:", o.profile)
	return budget(ctx, os.Stdout, p.sluice.Binary, o.profile, time.Duration(float64(sum.cpu[0])/max(sum.requests, 1)))
}
