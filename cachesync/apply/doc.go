// Package apply writes versioned records into memcached.
//
// memcached 1.6.18 has no "store if newer", so every write is: read the version that is
// there, compare, then cas (or add where nothing is). A lower version never takes the place
// of a higher one, whatever is duplicated, reordered or retried:
//
//	          gets                          add
//	start ----------> hit, older ---- cas ------> stored
//	   |                 |    ^-conflict-|
//	   |                 +-- as new or newer ---> kept
//	   +-- (wins) add, since nearly all are new; not stored: gets
//
// Batch is that rule for many keys at once, as a state machine without I/O: Ops are what to
// do next, Took looks at their results. Apply runs it against a Store; the simulator runs the
// same machine step by step, between other writers.
//
// A Batch belongs to one goroutine.
package apply
