package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sluice/gateway/token"
)

// States of a room.
const (
	Live   = "live"
	Closed = "closed"
)

// Bounds of a room.
const (
	MaxTitle = 200  // bytes
	MaxBans  = 5000 // uids: they travel in the rm: record
)

// Room is a live room's state; its JSON is the payload of rm: records.
type Room struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	State string `json:"state"`
	// Capacity is how many viewers may be in; 0 means no bound.
	Capacity int64 `json:"capacity"`
	// Bans are the uids that may not enter, sorted.
	Bans []string `json:"bans,omitempty"`
}

// Why somebody is not let in.
var (
	ErrNotFound = errors.New("room: no such room")
	ErrBanned   = errors.New("room: banned from this room")
	ErrFull     = errors.New("room: the room is full")
	ErrClosed   = errors.New("room: the room is closed")

	errBad = errors.New("room") // a room that cannot be stored as given
)

// Banned says whether the uid may not enter.
func (r *Room) Banned(uid string) bool {
	_, found := slices.BinarySearch(r.Bans, uid)
	return found
}

// Ban adds or removes a uid.
func (r *Room) Ban(uid string, banned bool) {
	at, found := slices.BinarySearch(r.Bans, uid)
	switch {
	case banned && !found:
		r.Bans = slices.Insert(r.Bans, at, uid)
	case !banned && found:
		r.Bans = slices.Delete(r.Bans, at, at+1)
	}
}

// Check says what is wrong with a room that somebody wants to store.
func (r *Room) Check() error {
	switch {
	case !ValidID(r.ID):
		return fmt.Errorf("%w: id %.80q must be 1-64 characters of [A-Za-z0-9_-]", errBad, r.ID)
	case len(r.Title) > MaxTitle:
		return fmt.Errorf("%w: title has %d bytes, at most %d are allowed", errBad, len(r.Title), MaxTitle)
	case r.State != Live && r.State != Closed:
		return fmt.Errorf("%w: state %.80q is not %s or %s", errBad, r.State, Live, Closed)
	case r.Capacity < 0 || r.Capacity > 1<<40:
		return fmt.Errorf("%w: capacity %d is not in 0..2^40", errBad, r.Capacity)
	case len(r.Bans) > MaxBans:
		return fmt.Errorf("%w: %d bans, at most %d fit a room", errBad, len(r.Bans), MaxBans)
	}
	return nil
}

// ValidID says whether id can name a room: the rule is that of uids, since both
// stand in cache keys.
func ValidID(id string) bool { return token.ValidUID(id) }

func parse(doc []byte) (*Room, error) {
	var r Room
	if err := json.Unmarshal(doc, &r); err != nil {
		return nil, fmt.Errorf("room: record: %w", err)
	}
	return &r, nil
}
