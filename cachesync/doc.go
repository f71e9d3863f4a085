// Package cachesync keeps the memcached of every region equal within milliseconds.
//
//	home region                                 another region
//	script -> {b07}:log  --XREAD-->  applier -> memcached <- Cache <- gateway
//	   |       change log             read, compare, cas        |
//	   +--------------- fill (one per key, limited) ------------+
//
// Truth stands in the Redis of a key's home (or in the user source); memcached is a cache
// and may lose anything at any moment. Everything written there is a Record with a Version,
// and a lower version never takes the place of a higher one.
//
// The parts: record (the format), changelog (the Redis stream that carries records),
// apply (the versioned writer), region (who is there, who joins, who leaves), probe
// (proof, always on), sim (the deterministic simulator). This package joins them: Cache is
// what a gateway reads through, Syncer is what `sluice sync` runs.
//
// Cache, Syncer and Users may be used by many goroutines at once.
package cachesync
