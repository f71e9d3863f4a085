package redpacket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/gateway/redpacket/script"
)

// Source fills rp: records from the home for cachesync.Cache. It gives what was last
// emitted, under the version of that: a fill never mints one. w: records have no source: a
// missing one means "ask home by drawing", never "has not won".
type Source struct{ h *House }

// NewSource makes the source of rp: records.
func NewSource(h *House) *Source { return &Source{h} }

var _ cachesync.Source = (*Source)(nil)

// Fill implements cachesync.Source. A bucket that is not certified answers nothing: what it
// holds may be old, and what it lacks may have been forgotten.
func (s *Source) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	out := make([]cachesync.Filled, len(keys))
	asks := make([]ask, len(keys))
	for i, key := range keys {
		out[i].Key = key
		id, err := s.h.ids.Parse(strings.TrimPrefix(key, "rp:"))
		if err != nil || id.Home() != s.h.home {
			out[i].Err = cachesync.ErrNotFound
			continue
		}
		asks[i] = ask{bucket: id.Bucket(), key: s.h.keys[id.Bucket()].rp(id.String()), fields: []string{"ep", "ev", "x"}}
	}
	s.h.ask(ctx, asks)
	for i := range asks {
		switch {
		case out[i].Err != nil:
		case asks[i].err != nil:
			out[i].Err = fmt.Errorf("%w: %v", cachesync.ErrLater, asks[i].err)
		default:
			out[i].Record, out[i].Expiry, out[i].Err = filled(asks[i].vals, cachesync.TypeRedPacket)
		}
	}
	return out, nil
}

// ask reads fields of one hash of a bucket.
type ask struct {
	bucket int
	key    string // "" is skipped
	fields []string
	vals   []any
	err    error // ErrFenced, or what went wrong
}

// ask reads hashes, each only if its bucket is certified at that moment.
func (h *House) ask(ctx context.Context, asks []ask) {
	pipe := h.control.Pipeline()
	cmds := make([]*redis.SliceCmd, len(asks))
	probes := map[int]*redis.Cmd{}
	for i := range asks {
		a := &asks[i]
		if a.key == "" {
			continue
		}
		if probes[a.bucket] == nil {
			set, err := h.set(ctx, a.bucket)
			if err != nil {
				a.err = err
				continue
			}
			probes[a.bucket] = pipe.EvalSha(ctx, set.SHA(script.Probe), h.keys[a.bucket].base())
		}
		cmds[i] = pipe.HMGet(ctx, a.key, a.fields...)
	}
	if pipe.Len() > 0 {
		pipe.Exec(ctx) // each command has its own error
	}
	for i, cmd := range cmds {
		if cmd == nil {
			continue
		}
		a := &asks[i]
		a.vals, a.err = cmd.Val(), scriptError(cmd.Err())
		if err := scriptError(probes[a.bucket].Err()); err != nil {
			if a.err = err; isFenced(err) {
				if set := h.sets[a.bucket].Load(); set != nil {
					h.relearn(ctx, a.bucket, set) // for the next time
				}
				a.err = Later(500*time.Millisecond, err)
			}
		}
	}
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
