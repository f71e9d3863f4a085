package shdict

import (
	"maps"
	"sync"
	"time"
)

// Zones are the dictionaries of a process, by name.
type Zones struct {
	now   func() time.Time
	mu    sync.Mutex
	dicts map[string]*Dict
}

// NewZones makes a dictionary of so many bytes for each name; now is the
// clock (zero value means time.Now).
func NewZones(sizes map[string]int64, now func() time.Time) *Zones {
	if now == nil {
		now = time.Now
	}
	z := &Zones{now: now, dicts: make(map[string]*Dict, len(sizes))}
	z.Add(sizes)
	return z
}

// Add makes the dictionaries that are not there yet; the others stay as they
// are, whatever their size.
func (z *Zones) Add(sizes map[string]int64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for name, size := range sizes {
		if z.dicts[name] == nil {
			z.dicts[name] = newDict(name, size, z.now)
		}
	}
}

// all is a copy of the table of dictionaries.
func (z *Zones) all() map[string]*Dict {
	z.mu.Lock()
	defer z.mu.Unlock()
	return maps.Clone(z.dicts)
}

// Dict gives a dictionary, nil if there is none of that name.
func (z *Zones) Dict(name string) *Dict {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.dicts[name]
}
