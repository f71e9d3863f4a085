package redpacket

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
)

// Source fills rp: records from the home for cachesync.Cache. It gives what was last
// emitted, under the version of that: a fill never mints one. w: records have no source: a
// missing one means "ask home by drawing", never "has not won".
type Source struct{ h *House }

// NewSource makes the source of rp: records.
func NewSource(h *House) *Source { return &Source{h} }

var _ cachesync.Source = (*Source)(nil)

// Fill implements cachesync.Source.
func (s *Source) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	out := make([]cachesync.Filled, len(keys))
	cmds := make([]*redis.SliceCmd, len(keys))
	pipe := s.h.control.Pipeline()
	for i, key := range keys {
		out[i].Key = key
		id, err := s.h.ids.Parse(strings.TrimPrefix(key, "rp:"))
		if err != nil || id.Home() != s.h.home {
			out[i].Err = cachesync.ErrNotFound
			continue
		}
		cmds[i] = pipe.HMGet(ctx, s.h.keys[id.Bucket()].rp(id.String()), "ep", "ev", "x")
	}
	if pipe.Len() > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, scriptError(err)
		}
	}
	for i, cmd := range cmds {
		if cmd != nil {
			out[i].Record, out[i].Expiry, out[i].Err = filled(cmd.Val(), cachesync.TypeRedPacket)
		}
	}
	return out, nil
}

// filled makes a record of payload, version and expiry as a hash holds them.
func filled(vals []any, typ cachesync.Type) (cachesync.Record, int64, error) {
	payload, ok1 := vals[0].(string)
	text, ok2 := vals[1].(string)
	if !ok1 || !ok2 {
		return cachesync.Record{}, 0, cachesync.ErrNotFound
	}
	v, ok := parseVersion(text)
	if !ok {
		return cachesync.Record{}, 0, errPayload
	}
	var expiry int64
	if len(vals) > 2 {
		if x, ok := vals[2].(string); ok {
			expiry, _ = strconv.ParseInt(x, 10, 64)
		}
	}
	return cachesync.Record{Type: typ, Version: v, CommitMS: v.UnixMS(), Payload: []byte(payload)}, expiry, nil
}
