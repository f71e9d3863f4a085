package redpacket

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"sluice/cachesync/record"
)

// Winners of a red packet with more shares than this stand in manyHashes winners' hashes, so that no
// hash grows so large that growing it stops Redis, and a page of winners is one hash.
const (
	winnerSplit = 2048
	manyHashes  = 1024
)

// winnerHashesFor is how many winners' hashes a red packet of so many shares has.
func winnerHashesFor(count int64) int64 {
	if count > winnerSplit {
		return manyHashes
	}
	return 1
}

// winnerHashesText is text64 without garbage for the two numbers there are.
func winnerHashesText(hashes int64) string {
	if hashes == manyHashes {
		return manyHashesText
	}
	return text64(hashes)
}

var manyHashesText = text64(manyHashes)

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

// winners is the hash that holds uid's outcomes.
func (k *keys) winners(id, uid string, hashes int64) string {
	if hashes <= 1 {
		return k.tag + ":w:" + id
	}
	return k.tag + ":w:" + id + ":" + strconv.FormatUint(xxhash.Sum64String(uid)%uint64(hashes), 10)
}

// winnersHash is the h-th of them.
func (k *keys) winnersHash(id string, h, hashes int64) string {
	if hashes <= 1 {
		return k.tag + ":w:" + id
	}
	return k.tag + ":w:" + id + ":" + strconv.FormatInt(h, 10)
}

// ofDraw makes the three keys of a draw in one piece of memory, with space to build it in.
// id's text is the end of rp.
func (k *keys) ofDraw(id ID, uid string, part int, hashes int64, space []byte) (rp, sh, winners string, _ []byte) {
	name := ":rp:"
	if part > 0 {
		name = ":rq:" // see part
	}
	b := id.Append(append(append(space[:0], k.tag...), name...))
	one := len(b)
	b = id.Append(append(append(b, k.tag...), ":sh:"...))
	two := len(b)
	b = id.Append(append(append(b, k.tag...), ":w:"...))
	if hashes > 1 {
		b = strconv.AppendUint(append(b, ':'), xxhash.Sum64String(uid)%uint64(hashes), 10)
	}
	all := string(b)
	return all[:one], all[one:two], all[two:], b
}
