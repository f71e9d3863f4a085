package warmup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// pressure watches a region's memcached, and the gateway if one is named, and
// moves the region's rate: halved under pressure, a quarter more each second
// without, up to the configured one.
func (t *target) pressure(ctx context.Context) {
	var seen map[string]int64
	var written int64
	var gw gatewayLatency
	most := rate.Inf
	if t.cfg.Rate > 0 {
		most = rate.Limit(t.cfg.Rate)
	}
	var best rate.Limit // reached so far; pressure takes away 15/16 of it at most
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		evicted := t.countEvictions(ctx, &seen)
		slow, err := gw.look(ctx, t.cfg)
		if err != nil {
			t.cfg.Log.Warn("warm: gateway latency unknown", "err", err)
		}
		now := t.stored.Load() + t.replaced.Load() + t.kept.Load()
		speed := rate.Limit(now - written)
		written = now
		best = max(best, speed)
		switch limit := t.limit.Limit(); {
		case evicted > 0 || slow:
			if limit == rate.Inf || limit > speed {
				limit = speed
			}
			t.limit.SetLimit(max(limit/2, best/16, 1000))
			t.backoffs.Add(1)
		case limit < most:
			// Far above what was ever reached the limit means nothing any more.
			if limit = limit * 5 / 4; limit > most || most == rate.Inf && limit > 2_000_000 {
				limit = most
			}
			t.limit.SetLimit(limit)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// countEvictions returns how many items were evicted since the last call.
func (t *target) countEvictions(ctx context.Context, seen *map[string]int64) (evicted int64) {
	first := *seen == nil
	if first {
		*seen = map[string]int64{}
	}
	for _, addr := range t.c.Nodes() {
		h, err := t.c.NodeHealth(ctx, addr)
		if err != nil {
			continue
		}
		if d := h.Evictions - (*seen)[addr]; d > 0 && !first {
			evicted += d
		}
		(*seen)[addr] = h.Evictions
	}
	t.evictions.Add(evicted)
	return evicted
}

// gatewayLatency reads the mean of a Prometheus histogram since the last look.
type gatewayLatency struct {
	sum, count float64
	known      bool
}

func (g *gatewayLatency) look(ctx context.Context, cfg *Config) (slow bool, err error) {
	if cfg.PressureURL == "" {
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.PressureURL, nil)
	if err != nil {
		return false, err
	}
	if cfg.PressureToken != "" {
		req.Header.Set("Authorization", "Bearer "+cfg.PressureToken)
	}
	resp, err := cfg.HTTP.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s: status %d", cfg.PressureURL, resp.StatusCode)
	}
	sum, count, err := sumMetric(io.LimitReader(resp.Body, 8<<20), cfg.PressureMetric)
	if err != nil {
		return false, err
	}
	ds, dc := sum-g.sum, count-g.count
	was := g.known
	g.sum, g.count, g.known = sum, count, true
	return was && dc > 0 && ds/dc > cfg.PressureMax.Seconds(), nil
}

// sumMetric adds up name_sum and name_count over all labels.
func sumMetric(r io.Reader, name string) (sum, count float64, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		into := &sum
		if rest, ok = strings.CutPrefix(rest, "_sum"); !ok {
			if rest, ok = strings.CutPrefix(rest, "_count"); !ok {
				continue
			}
			into = &count
		}
		if i := strings.LastIndexByte(rest, '}'); i >= 0 {
			rest = rest[i+1:]
		}
		f := strings.Fields(rest)
		if len(f) == 0 {
			continue
		}
		v, perr := strconv.ParseFloat(f[0], 64)
		if perr != nil {
			return 0, 0, fmt.Errorf("metric %q: %w", line, perr)
		}
		*into += v
	}
	return sum, count, sc.Err()
}
