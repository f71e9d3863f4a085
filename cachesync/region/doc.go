// Package region is the list of regions: who is there, who joins, who leaves.
//
// The list stands in the Redis of the control region, one field per region in one hash.
// Every change runs in a script under Redis' own clock, so the clocks of the regions do not
// matter.
//
//	         register            lag < 50 ms, probe clean
//	(none) ----------> joining -------------------------> active
//	                      ^                                 |  drain
//	   lease + grace over |                                 v
//	       (renew: ErrLost)                             draining --> (none)
//
// A region holds a lease and a token. Without renewal for Lease it counts as lost; if it comes
// back within Grace it goes on as if nothing had been. After that it is gone and joins again:
// from its saved positions, if the logs still have what it missed, else empty. A process whose token is not the region's any more (it was paused, and another
// took its place) is told ErrFenced and must stop.
package region
