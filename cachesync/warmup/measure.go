package warmup

import (
	"context"
	"errors"
	"io"

	"sluice/cachesync/memcache"
	"sluice/cachesync/warmup/proof"
	"sluice/cachesync/warmup/source"
)

// probeRows are read beforehand to estimate the set.
const probeRows = 20_000

// probe is what the beginning of the source tells of the rest.
type probe struct {
	rows, good int64
	bytes      int64 // of records as memcached keeps them
	units      int64
	whole      bool // the source ended within
	keys       []string
}

// measure learns the size of the set, and refuses it when it cannot fit.
func (r *run) measure(ctx context.Context) error {
	var err error
	if r.size, err = r.cfg.Feed.Size(ctx); err != nil {
		return sourceFailure(err)
	}
	if r.size.Units == 0 || r.cfg.NoFit || r.resumed || !r.cfg.Feed.Repeatable() {
		return nil
	}
	p, err := r.probe(ctx)
	if err != nil {
		return sourceFailure(err)
	}
	if p.good == 0 {
		return nil // warm says what is wrong
	}
	rows := r.size.Rows
	if p.whole {
		rows = p.rows
	} else if rows == 0 {
		rows = p.rows * r.size.Units / max(p.units, 1)
	}
	fit := proof.Fit{Records: rows * p.good / p.rows, Each: p.bytes / p.good}
	for _, t := range r.targets {
		fit.There = t.there(ctx, p.keys)
		rooms, err := t.rooms(ctx, p.keys)
		if err != nil {
			return fail(ExitTarget, "region %s: %w", t.Name, err)
		}
		if why := fit.Check(rooms); why != "" {
			return fail(ExitTarget, "region %s: the set does not fit: %s; give memcached more memory (-m), add nodes, leave fields out, or --no-fit to write all the same", t.Name, why)
		}
	}
	return nil
}

func (r *run) probe(ctx context.Context) (p probe, err error) {
	in, err := r.cfg.Feed.Open(ctx, source.Position{}, r.st.OpenedAt)
	if err != nil {
		return p, err
	}
	defer in.Close()
	var buf []byte
	for p.rows < probeRows {
		item, b, err := in.Next(buf[:0])
		buf = b
		if err == io.EOF {
			p.whole = true
			break
		}
		bad, filtered := skipped(err)
		if err != nil && bad == nil && !filtered {
			return p, err
		}
		p.rows++
		if err != nil {
			continue
		}
		p.good++
		p.bytes += proof.ItemBytes(len(item.Key), len(item.Value))
		if len(p.keys) < 2000 {
			p.keys = append(p.keys, item.Key)
		}
	}
	// The header of a compressed or buffered file is read ahead: at least a part was.
	p.units = in.Done()
	return p, nil
}

// there is the fraction of keys that are in memcached already.
func (t *target) there(ctx context.Context, keys []string) float64 {
	keys = keys[:min(len(keys), 500)]
	ops := make([]memcache.Op, len(keys))
	for i, k := range keys {
		ops[i] = memcache.Op{Kind: memcache.Get, Key: k}
	}
	t.c.Do(ctx, ops)
	n := 0
	for i := range ops {
		if ops[i].Err == nil {
			n++
		}
	}
	return float64(n) / float64(max(len(keys), 1))
}

// rooms asks every node that answers for its memory.
func (t *target) rooms(ctx context.Context, keys []string) ([]proof.Room, error) {
	share := map[string]int{}
	for _, k := range keys {
		addr, _ := t.c.Owner(k)
		share[addr]++
	}
	var rooms []proof.Room
	var last error
	for _, addr := range t.c.Nodes() {
		h, err := t.c.NodeHealth(ctx, addr)
		if err != nil {
			last = err
			continue
		}
		room := proof.Room{Node: addr, Limit: h.LimitBytes, Used: h.Bytes, Share: 1 / float64(len(t.c.Nodes()))}
		if len(keys) >= 1000 {
			room.Share = float64(share[addr]) / float64(len(keys))
		}
		rooms = append(rooms, room)
	}
	if len(rooms) == 0 {
		return nil, errors.Join(errors.New("no node tells its memory"), last)
	}
	return rooms, nil
}
