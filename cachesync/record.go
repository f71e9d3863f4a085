package cachesync

import "sluice/cachesync/record"

// The record format lives in package record, so that the parts of cachesync can share it;
// these are its names for everybody else.
type (
	// Version orders the writes of one key.
	Version = record.Version
	// Record is one versioned value.
	Record = record.Record
	// Type says what a record's payload is.
	Type = record.Type
)

// Types of records.
const (
	TypeRedPacket = record.TypeRedPacket
	TypeWin       = record.TypeWin
	TypeUser      = record.TypeUser
	TypeRoom      = record.TypeRoom
	TypeFilter    = record.TypeFilter
	TypeProbe     = record.TypeProbe
	TypeOther     = record.TypeOther
)

// Flags of records.
const (
	FlagTombstone = record.FlagTombstone
	FlagRefill    = record.FlagRefill
	FlagHot       = record.FlagHot
)

// Buckets is the number of fixed parts of a home.
const Buckets = record.Buckets

// MakeVersion packs epoch, milliseconds since 2025-01-01 and counter.
func MakeVersion(epoch uint64, ms int64, counter uint64) Version {
	return record.MakeVersion(epoch, ms, counter)
}

// Parse reads a record; its payload aliases b.
func Parse(b []byte) (Record, error) { return record.Parse(b) }

// RedPacketKey is the cache key of a red packet.
func RedPacketKey(id string) string { return record.RedPacketKey(id) }

// WinKey is the cache key of one user's win in a red packet.
func WinKey(id, uid string) string { return record.WinKey(id, uid) }

// UserKey is the cache key of a user.
func UserKey(uid string) string { return record.UserKey(uid) }

// RoomKey is the cache key of a room.
func RoomKey(room string) string { return record.RoomKey(room) }

// BucketOf is the bucket of names that carry none of their own: users and rooms.
func BucketOf(name string) int { return record.BucketOf(name) }

// BucketKey is a Redis key of a bucket: BucketKey(7, "log") is "{b07}:log".
func BucketKey(bucket int, name string) string { return record.BucketKey(bucket, name) }
