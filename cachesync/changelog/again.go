package changelog

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// againBody puts one record into the log once more, under the version that it has: nothing is
// minted, so a region that has it sees no change. 'r' says when the home had it, which is what
// its age counts from.
// ARGV: the version's epoch, ms and counter, key, type, expiry, 'v' or 'd', payload.
const againBody = `
local seq = string.format('%.0f', vseq + 1)
redis.call('XADD', KEYS[2], '@EPOCH@-' .. seq, 'm', ARGV[2], 'c', ARGV[3], 's', ARGV[1], 'r', string.format('%.0f', NOW - @BASE@),
  'k', ARGV[4], 't', ARGV[5], 'e', ARGV[6], ARGV[7], ARGV[8])
redis.call('HSET', KEYS[1], 'seq', seq)
return seq
`

// AgainScripts are the texts that emit records again; they are loaded when the bucket has
// been certified.
func AgainScripts(epoch uint64) []string { return []string{ofEpoch(prelude+againBody, epoch)} }

// Again emits a record of a bucket again. Its caller makes sure that the record is the
// home's at that moment (WATCH): one that came behind a newer change could outlive it where
// that was evicted. On a Redis that waits for the certifier the answer is NOSCRIPT.
func Again(ctx context.Context, rdb redis.Scripter, bucket int, epoch uint64, c Change) *redis.Cmd {
	kind, v := "v", c.Record.Version
	if c.Record.Tombstone() {
		kind = "d"
	}
	return rdb.EvalSha(ctx, redis.NewScript(AgainScripts(epoch)[0]).Hash(), []string{MetaKey(bucket), LogKey(bucket), WinKey(bucket)},
		v.Epoch(), v.MS(), v.Counter(), c.Key, int(c.Record.Type), c.Expiry, kind, c.Record.Payload)
}
