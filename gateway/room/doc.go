// Package room keeps live rooms and lets viewers in.
//
//	admin: PUT room, ban ----> home's Redis {bNN}:rm:<id> --change log--> rm: records
//	viewer: enter ----> rm: record (memcached) -> ban? closed? full? -> push address, token
//
// The truth of a room is one hash in the bucket of its name at its home;
// memcached holds the rm: record that entries read. Only a room with a
// capacity asks Redis at entry: {bNN}:rv:<id> is a sorted set of the uids let
// in and when their place ends, so that coming back takes no second place.
//
// Store and Door are safe for all goroutines.
package room
