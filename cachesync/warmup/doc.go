// Package warmup loads records into the memcached of regions before the hour,
// and proves that they are there. It is `sluice warm` without the wiring.
//
//	source --rows--> plan --records--> batches --+--> region idc     --\
//	                                             +--> region monthly ---+--> commit --> position, sample
//	                                             +--> region burst   --/
//
// A fixed number of batches goes round, so memory is constant whatever the
// size. A batch is committed when every region is through with it; the position
// saved is that of the last batch with all before it committed, so a killed run
// repeats a little and skips nothing.
//
// # Never over something fresher
//
// A record is written with `add`. Where there is one already, it is read,
// compared by version (record.Wins) and replaced by `cas`, or kept. On an empty
// cache that is one round trip a batch; a live change at the same moment wins.
//
// # When a node fails
//
// Its records are missed and counted, the other nodes go on. When it is back,
// or when it was found emptied (canary), its keys, and only its, are warmed
// again by another pass over the source. What could not be repaired shows in
// the coverage.
//
// # Pressure
//
// Evictions in memcached, and gateway latency above a limit (PressureURL), halve
// a region's rate; each calm second adds a quarter, up to the limit set.
//
// # Exit codes
//
//	0 done and proved   2 usage, or another run of the set is going on
//	3 late              4 coverage too low
//	5 source failed     6 target failed
//
// All of Run's fields are read-only once it runs. Packages below: source (rows),
// plan (row to record), proof (sampling, coverage, room), state (position, lease).
package warmup
