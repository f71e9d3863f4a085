// Package pipeline shares a few connections to one server among all callers of
// a process: requests in flight travel in one write, replies come back in order.
//
//	caller 1 --Start--> queue --+                     +--> reader --> caller 1
//	caller 2 --Start--> queue --+--> one write -> net +--> reader --> caller 2
//	caller 3 --Start--> queue --+                     +--> reader --> caller 3
//
// Batching is natural: the first caller that finds no writer becomes the
// writer, yields the processor once so that the handlers which are ready may
// queue theirs too, and writes all of it at once. Without the yield batches
// stay at 1.0 under load; with nobody else ready it costs 100 ns and nothing
// waits. A writer that would have to wait for the socket hands the rest to a
// background goroutine, so a stalled server holds no caller past its deadline.
//
// What goes wrong, and what a caller sees (Error; errors.Is with the sentinels):
//
//	queue full by calls or bytes       ErrBusy at once
//	server refuses or is being probed  ErrDown at once
//	no reply in time                   ErrTimeout; the connection is closed when it is stuck
//	connection lost                    ErrLost
//
// Error.MaybeSent tells whether the server may have seen the request. Nothing
// is ever sent twice. A connection that failed is redialled with backoff and
// jitter and must pass Config.Handshake before it carries calls again.
//
// Memory is bounded by MaxInFlight calls and MaxBytes of requests per node. A
// Call is reusable and owns its reply until Release; waiting for it allocates
// nothing. All methods of Node may be called from any goroutine.
package pipeline
