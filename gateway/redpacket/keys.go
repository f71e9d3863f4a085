package redpacket

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"sluice/cachesync/record"
)

// Winners of a part with more shares than winnerSplit stand in many winners' hashes of about
// winnersPerHash each. So few are packed by Redis into one piece of memory, as long as no more
// stand in a hash than its hash-max-listpack-entries (512, or 128 in some): a winner costs half of
// what he costs in a large hash, and growing one stops nobody. More would take the draw longer to
// look through, fewer would cost more keys. How many hashes a red packet has is part of it for ever.
const (
	winnerSplit    = 2048
	winnersPerHash = 64
	portalHashes   = 1024 // at least: a portal remembers every draw, not only wins
)

// winnerHashesFor is how many winners' hashes a part of so many shares has.
func winnerHashesFor(shares int64) int64 {
	if shares > winnerSplit {
		return (shares + winnersPerHash - 1) / winnersPerHash
	}
	return 1
}

// hashGroup is how many winners' hashes are read in one go: so many that there are at most
// hashGroups such readings, the last of which may find fewer.
func hashGroup(hashes int64) int64 { return (hashes + hashGroups - 1) / hashGroups }

const hashGroups = 1024

// keys are the Redis keys of a bucket that do not name a red packet.
type keys struct{ tag, meta, log, win, fund string }

func bucketKeys(b int) keys {
	tag := record.Tag(b)
	return keys{tag: tag, meta: tag + ":meta", log: tag + ":log", win: tag + ":win", fund: tag + ":fund"}
}

func allKeys() (all [Buckets]keys) {
	for b := range all {
		all[b] = bucketKeys(b)
	}
	return all
}

func (k *keys) rp(id string) string    { return k.tag + ":rp:" + id }
func (k *keys) sh(id string) string    { return k.tag + ":sh:" + id }
func (k *keys) list(id string) string  { return k.tag + ":l:" + id }
func (k *keys) tries(id string) string { return k.tag + ":pw:" + id }
func (k *keys) prize(id string) string { return k.tag + ":pt:" + id }
func (k *keys) chunk(id string) string { return k.tag + ":wf:" + id }

// hashOf is which of the winners' hashes holds uid's outcomes.
func hashOf(uid string, hashes int64) int64 {
	return int64(xxhash.Sum64String(uid) % uint64(max(1, hashes)))
}

// winners is the hash that holds uid's outcomes.
func (k *keys) winners(id, uid string, hashes int64) string {
	return k.winnersHash(id, hashOf(uid, hashes), hashes)
}

// winnersHash is the h-th of them.
func (k *keys) winnersHash(id string, h, hashes int64) string {
	if hashes <= 1 {
		return k.tag + ":w:" + id
	}
	return k.tag + ":w:" + id + ":" + strconv.FormatInt(h, 10)
}

// dropped is there while more keys of a forgotten red packet are to go.
func (k *keys) dropped(id string) string { return k.tag + ":dr:" + id }
