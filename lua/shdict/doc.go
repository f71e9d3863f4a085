// Package shdict is ngx.shared.DICT: dictionaries of a fixed size in bytes
// that all VMs of the process share and that outlive a reload of scripts.
//
// A Dict has one lock, one least-recently-used order and one account of
// bytes; when it is full, the oldest keys go (and the caller is told:
// "forcible"), exactly as in OpenResty. Zones is the set of the process's
// dictionaries by name.
//
// All methods may be called from many goroutines at once.
package shdict
