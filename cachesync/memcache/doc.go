// Package memcache is the client of one region's memcached tier: all callers
// share at most two pipelined connections per node, behind gomemcache's Item,
// errors and ServerSelector.
package memcache
