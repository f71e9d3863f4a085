package room

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/cachesync"
	"sluice/gateway/token"
)

// Door lets viewers in.
type Door struct {
	cache *cachesync.Cache
	store *Store
	ring  *token.Ring
	push  []string
	life  time.Duration

	mu     sync.Mutex
	parsed map[string]parsedRoom // rooms change seldom and are entered often
}

type parsedRoom struct {
	version cachesync.Version
	room    *Room
}

// maxParsed bounds Door.parsed.
const maxParsed = 4096

// NewDoor reads rooms through the cache; push are the room nodes' addresses,
// life is how long an entry token may be used.
func NewDoor(cache *cachesync.Cache, store *Store, ring *token.Ring, push []string, life time.Duration) *Door {
	return &Door{cache: cache, store: store, ring: ring, push: push, life: life, parsed: map[string]parsedRoom{}}
}

// Entry is what a viewer who is let in gets.
type Entry struct {
	Room  *Room
	Push  []string // addresses of room nodes, to be tried in this order
	Token string   // for the room node; scope "room:<id>"
	Until time.Time
}

// ErrLater: the room or user is not in the cache and its home cannot be asked
// now.
var ErrLater = cachesync.ErrLater

// Enter lets uid into a room or says why not: ErrNotFound, ErrBanned,
// ErrClosed, ErrFull, ErrLater. A user whom this region lacks is asked for
// meanwhile, for what he does next; force asks before all that queue, and waits.
func (d *Door) Enter(ctx context.Context, id, uid string, force bool, now time.Time) (Entry, error) {
	if !ValidID(id) {
		return Entry{}, ErrNotFound
	}
	reads := []cachesync.Read{{Key: cachesync.RoomKey(id)}, {Key: cachesync.UserKey(uid), Force: force, NoFill: !force}}
	if err := d.cache.Read(ctx, reads); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLater, err)
	}
	if !force {
		d.cache.Prefetch(reads[1:])
	}
	r, err := d.room(&reads[0])
	switch {
	case err != nil:
		return Entry{}, err
	case r.State == Closed:
		return Entry{}, ErrClosed
	case r.Banned(uid):
		return Entry{}, ErrBanned
	}
	if r.Capacity > 0 {
		in, err := d.store.Take(ctx, r, uid, d.life)
		if err != nil {
			return Entry{}, fmt.Errorf("%w: %w", ErrLater, err)
		}
		if !in {
			return Entry{}, ErrFull
		}
	}
	text, err := d.ring.Mint(token.Claims{UID: uid, Scope: "room:" + id}, d.life)
	if err != nil {
		return Entry{}, fmt.Errorf("room: %w", err)
	}
	return Entry{Room: r, Push: d.nodes(), Token: text, Until: now.Add(d.life)}, nil
}

// nodes are the push addresses, beginning at a random one so that viewers
// spread.
func (d *Door) nodes() []string {
	if len(d.push) < 2 {
		return d.push
	}
	at := rand.N(len(d.push))
	return append(append(make([]string, 0, len(d.push)), d.push[at:]...), d.push[:at]...)
}

func (d *Door) room(read *cachesync.Read) (*Room, error) {
	switch read.State {
	case cachesync.Hit:
	case cachesync.Later:
		return nil, ErrLater
	default:
		if read.Err != nil && read.Err != cachesync.ErrNotFound {
			return nil, fmt.Errorf("%w: %w", ErrLater, read.Err)
		}
		return nil, ErrNotFound
	}
	d.mu.Lock()
	known := d.parsed[read.Key]
	d.mu.Unlock()
	if known.room != nil && known.version == read.Record.Version {
		return known.room, nil
	}
	r, err := parse(read.Record.Payload)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.parsed) >= maxParsed {
		clear(d.parsed)
	}
	d.parsed[read.Key] = parsedRoom{read.Record.Version, r}
	return r, nil
}
