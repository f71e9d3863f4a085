// Package sim is the deterministic simulator of cachesync: one home, two or three regions,
// their appliers and fills, under every fault the design allows.
//
// It runs the real code of package apply (Batch, and Applier through Stepper) and package
// record, step by step between each other, over a simulated change log, memcached and clock;
// the fill protocol of package cachesync is followed step by step here. All chance comes from
// the seed, so `-seed N` shows the same run again.
//
// Faults: lost reads, partitions, crashes and pauses of any process at any step (two appliers
// of a region at once too), clock skew of the home, evictions, flush_all, expiry of tombstones,
// trimmed logs, regions that leave and join with a neighbour's copy.
//
// What must hold:
//
//   - after every step no key goes backwards for a reader in one region, but for a second
//     after an eviction, flush or join;
//   - nobody asks the source for a key while another asks for it whose lock still lasts;
//   - after the faults stop, every region holds for every key what its home holds, or nothing.
//
// Bugs that were once possible can be put back (Bug), and must be caught.
package sim
