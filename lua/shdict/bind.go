package shdict

import (
	"time"

	"sluice/lua/vm"
)

// Zones are the dictionaries of a process, by name.
type Zones struct{}

// NewZones makes a dictionary of so many bytes for each name; now is the
// clock (zero value means time.Now).
func NewZones(sizes map[string]int64, now func() time.Time) *Zones { return &Zones{} }

// Install sets ngx.shared in ngx, with one table for each dictionary.
func Install(ngx *vm.Table, zones *Zones) {}
