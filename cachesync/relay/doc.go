// Package relay carries the questions of a region's gateways to the homes of other regions.
//
//	gateway --+                                  +--> home bj1's Redis
//	gateway --+--> relay of the region --pipelines--> home month1's Redis (each node of a cluster)
//	gateway --+    (in `sluice sync`)            +--> ...
//
// Hundreds of gateways become one pipelined connection per relay and node of a home: that is
// what a home sees of a far region, and what travels over the private line is batched.
//
// # Protocol
//
// It is Redis' own (RESP2), so that a gateway asks a far home as it asks its own: a connection
// begins with AUTH and the relay's secret; SELECT n picks the home of region number n. Then come
// scripts and reads of buckets, and nothing else:
//
//	EVALSHA  GET  HGET  HMGET  HGETALL  EXISTS  SCRIPT EXISTS  PING
//
// Every key must be one of a bucket ({b07}:...), all keys of a script of the same one. Replies
// come in the order of the questions. What the relay itself says are error replies:
//
//	NOTSENT  the home cannot be reached, or too much is waiting for it: it did not run
//	UNKNOWN  it was sent and no answer came in time: it may have run
//	DENIED   not one of the above
//
// Nothing is ever sent twice by the relay, and the gateway does not resend by itself either: a
// user who asks again gets the same outcome, since scripts remember what they answered.
//
// # Bounds
//
// A question waits at most Home.Redis.Timeout, which must be shorter than the gateways' own, so
// that they hear why. At most MaxInFlight questions of a connection are open, then its reading
// stops; at most resp's bounds wait for a node, then the answer is NOTSENT at once. A gateway
// that does not take its replies is cut off. At the end of Serve the questions under way are
// answered first.
//
// A relay that was paused and wakes up may still run what its gateways have given up on: a draw
// that its user made then, under the rules of the moment it runs.
//
// Server may be used from any goroutine.
package relay
