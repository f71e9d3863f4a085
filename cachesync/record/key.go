package record

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Buckets is the number of fixed parts of a home. It never changes.
const Buckets = 64

// Prefixes of the keys in memcached.
const (
	PrefixRedPacket = "rp:"
	PrefixWin       = "w:"
	PrefixUser      = "u:"
	PrefixRoom      = "rm:"
	PrefixFilter    = "wf:" // of a red packet's winners, in chunks
)

// Prefixes of what stands in memcached beside the records and is none.
const (
	PrefixLock     = "lk:"   // a fill under way
	PrefixPosition = "pos:"  // of an applier
	PrefixWarm     = "warm:" // lease of a warm-up
)

// Beside tells the keys that cachesync keeps for itself: locks, positions, leases, canaries, probes.
func Beside(key string) bool {
	for _, p := range [...]string{PrefixLock, PrefixPosition, PrefixWarm, "sluice:", "probe:"} {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// RedPacketKey is the cache key of a red packet.
func RedPacketKey(id string) string { return PrefixRedPacket + id }

// WinKey is the cache key of one user's win in a red packet.
func WinKey(id, uid string) string { return PrefixWin + id + ":" + uid }

// UserKey is the cache key of a user.
func UserKey(uid string) string { return PrefixUser + uid }

// RoomKey is the cache key of a room.
func RoomKey(room string) string { return PrefixRoom + room }

// BucketOf is the bucket of names that carry none of their own: users and rooms.
func BucketOf(name string) int { return int(xxhash.Sum64String(name) % Buckets) }

// Tag is the hash tag that all Redis keys of a bucket share: "{b07}".
func Tag(bucket int) string {
	if bucket < 10 {
		return "{b0" + strconv.Itoa(bucket) + "}"
	}
	return "{b" + strconv.Itoa(bucket) + "}"
}

// BucketKey is a Redis key of a bucket: BucketKey(7, "log") is "{b07}:log".
func BucketKey(bucket int, name string) string { return Tag(bucket) + ":" + name }

// OfBucketKey takes apart what BucketKey made: "{b07}:rp:x" is 7 and "rp:x".
func OfBucketKey(key string) (bucket int, name string, ok bool) {
	if len(key) < 7 || key[0] != '{' || key[1] != 'b' || key[4] != '}' || key[5] != ':' {
		return 0, "", false
	}
	tens, units := int(key[2]-'0'), int(key[3]-'0')
	if bucket = tens*10 + units; tens < 0 || tens > 9 || units < 0 || units > 9 || bucket >= Buckets {
		return 0, "", false
	}
	return bucket, key[6:], true
}
