// Package wire reads HTTP/1.1 answers out of raw bytes and cheap facts out of their JSON.
//
// It is what a load generator needs and no more: one answer at a time (no pipelining), the status,
// the body's end by length, by chunks or by the end of the connection, and whether the connection
// may be used again. A Parser allocates only while an answer is larger than those before it.
//
//	var p wire.Parser
//	n, err := p.Feed(bytes)  // as often as bytes arrive
//	if p.Done() { use p.Status, p.Body; p.Reset() }
//
// A Parser belongs to one connection. Body is valid until the next Feed or Reset, and may point
// into the bytes given to Feed.
package wire
