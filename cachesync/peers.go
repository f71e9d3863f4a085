package cachesync

import (
	"slices"
	"sync"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
)

// peers are the memcacheds of the other active regions, as a home sees them: it reads back in
// them what it has written. A region without a home
// has no peers, so that pairs are homes times regions.
type peers struct {
	s    *Syncer
	home bool

	mu   sync.Mutex
	list []*peer
	here []*readback // of list, shared with readers: replaced, never changed
}

type peer struct {
	*readback
	nodes  []string
	client *memcache.Client
}

func newPeers(s *Syncer) *peers {
	return &peers{s: s, home: slices.ContainsFunc(s.cfg.Homes, func(h Home) bool { return h.Name == s.cfg.Region })}
}

// active are the regions there are now, this one not among them; the caller may append.
func (p *peers) active() []*readback {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.here)
}

// situate follows the list of regions. What waits to be read in a region that is not active
// any more is dropped: it may be empty by now.
func (p *peers) situate(list []region.Region) {
	if !p.home {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var left []*peer
	for _, one := range p.list {
		if slices.ContainsFunc(list, func(r region.Region) bool { return isPeer(&r, one) }) {
			left = append(left, one)
		} else {
			one.client.Close()
		}
	}
	for i := range list {
		r := &list[i]
		if r.Name == p.s.cfg.Region || slices.ContainsFunc(left, func(one *peer) bool { return isPeer(r, one) }) {
			continue
		}
		if r.State != region.Active || len(r.Memcached) == 0 {
			continue
		}
		client, err := memcache.New(memcache.Config{Servers: r.Memcached, Dial: p.s.deps.Dial, Timeout: time.Second})
		if err != nil {
			p.s.deps.Log.Warn("a region cannot be proved: its memcached is no address", "region", r.Name, "err", err)
			continue
		}
		left = append(left, &peer{newReadback(r.Name, client), slices.Clone(r.Memcached), client})
	}
	if slices.Equal(left, p.list) {
		return
	}
	p.list, p.here = left, nil
	for _, one := range left {
		p.here = append(p.here, one.readback)
	}
}

func isPeer(r *region.Region, one *peer) bool {
	return r.Name == one.name && r.State == region.Active && slices.Equal(r.Memcached, one.nodes)
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.list {
		one.client.Close()
	}
	p.list, p.here = nil, nil
}
