package shdict

import "time"

// Zones are the dictionaries of a process, by name.
type Zones struct {
	dicts map[string]*Dict
}

// NewZones makes a dictionary of so many bytes for each name; now is the
// clock (zero value means time.Now).
func NewZones(sizes map[string]int64, now func() time.Time) *Zones {
	if now == nil {
		now = time.Now
	}
	z := &Zones{dicts: make(map[string]*Dict, len(sizes))}
	for name, size := range sizes {
		z.dicts[name] = newDict(name, size, now)
	}
	return z
}

// Dict gives a dictionary, nil if there is none of that name.
func (z *Zones) Dict(name string) *Dict { return z.dicts[name] }
