// Package user is where user records come from when the cache has none.
package user

import (
	"context"
	"strings"
	"time"

	"sluice/cachesync"
	"sluice/gateway/token"
)

// Everyone is the built-in user source: every valid uid is a user of whom
// nothing is known. Its records are older than any live change.
type Everyone struct {
	// For is how long that is believed; zero value means until something is known.
	For time.Duration
}

// everyoneVersion is the oldest a record can be.
var everyoneVersion = cachesync.MakeVersion(0, 0, 1)

// Fill implements cachesync.Source.
func (e Everyone) Fill(_ context.Context, keys []string) ([]cachesync.Filled, error) {
	out := make([]cachesync.Filled, len(keys))
	until := int64(0)
	if e.For > 0 {
		until = time.Now().Add(e.For).Unix()
	}
	for i, key := range keys {
		out[i].Key = key
		if uid := strings.TrimPrefix(key, "u:"); !token.ValidUID(uid) {
			out[i].Err = cachesync.ErrNotFound
			continue
		}
		out[i].Expiry = until
		out[i].Record = cachesync.Record{
			Type: cachesync.TypeUser, Version: everyoneVersion, CommitMS: everyoneVersion.UnixMS(), Payload: []byte("{}"),
		}
	}
	return out, nil
}
