// Package memcache is the client of one region's memcached tier: all callers
// of a process share at most two pipelined connections per node (package
// pipeline), behind gomemcache's Item, errors and ServerSelector.
//
//	c, err := memcache.New(memcache.Config{Servers: []string{"10.0.0.1:11211", "10.0.0.2:11211"}})
//	ops := []memcache.Op{{Kind: memcache.Get, Key: "u:42"}, {Kind: memcache.Get, Key: "rp:abc"}}
//	if err := c.Do(ctx, ops); err != nil { ... }   // the transport's error, if any
//	for _, op := range ops { op.Err, op.Value }    // each op's own outcome
//
// It speaks the classic text protocol only, which every memcached since 1.2
// and our embedded one understand. Neighbouring reads of a batch become one
// "get k1 k2 ..." line.
//
// # Which node
//
// A Ring (consistent hashing, 160 points a node) gives each key one owner. A
// node that fails is ejected: its keys miss with ErrNodeDown, at once, until it
// answers again. They are not moved to neighbours. Moving them would keep a
// few more hits, but processes notice a failure at different moments: one would
// still write to the old owner what another reads from the new one, and what
// was left behind on a neighbour would come back, stale, at the next failure.
//
// # A node that comes back
//
// It may have missed writes. Appliers keep what a node misses and write it within
// a second of its return, so that a node that stood still for a moment comes back
// with all that it had. After a longer time it must not serve what it kept: an
// Authoritative client (an applier) remembers that writes were lost while the node
// was ejected for longer than StaleAfter, or is told so (MustEmpty); it then sends
// flush_all in the handshake,
// before any call can use the node again (twice, since old writes may still be
// on their way), and leaves a new canary. Other
// clients see the new canary and report the node cold. A restarted node is
// empty anyway.
//
// # The canary
//
// Watch reads the key "sluice:canary" of every node twice a second. Its value
// is a random id; when it is gone or another one, the node lost its data since:
// restart, flush_all or eviction (stats tell which), reported as OnCold.
//
// # Concurrency and ownership
//
// All methods may be called from any goroutine. Do copies keys and values in;
// values that come out belong to the caller, but small ones share 16 KB chunks
// with their neighbours: copy what you keep for long.
package memcache
