package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// profile runs the cases against sluice alone and saves the gateway's CPU profile of that time: the
// mix that default.pgo is made of.
func profile(ctx context.Context, o options, p *peer) error {
	total := time.Duration(len(o.cases)*len(o.conns)) * (o.run + runUp)
	done := make(chan error, 1)
	go func() {
		done <- p.admin.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(total.Seconds()))), o.profile)
	}()
	for _, name := range o.cases {
		for _, conns := range o.conns {
			s, err := one(ctx, p, name, conns, 0, o.run)
			if err != nil {
				return err
			}
			fmt.Printf("%-6s %5d connections %9.0f req/CPU-s %9.0f/s\n", name, conns, s.requests/max(s.gateway.Seconds(), 1e-9), s.requests/s.seconds)
		}
	}
	if err := <-done; err != nil {
		return err
	}
	fmt.Println("profile:", o.profile)
	return nil
}

// save fetches a path of the admin listener into a file.
func (g *sluiceGateway) save(ctx context.Context, path, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("peers: %s: %w", path, err)
	}
	if res.StatusCode != 200 {
		return fmt.Errorf("peers: %s: %s %.200s", path, res.Status, text)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return nil
}
