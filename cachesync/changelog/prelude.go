package changelog

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/record"
)

// Fenced is how the error of a script of another epoch begins.
const Fenced = "FENCED"

// MetaKey, LogKey and WinKey are a bucket's first three keys, in the order every script has them.
func MetaKey(bucket int) string { return record.BucketKey(bucket, "meta") }

// LogKey is the bucket's change log.
func LogKey(bucket int) string { return record.BucketKey(bucket, "log") }

// WinKey is the bucket's win stream.
func WinKey(bucket int) string { return record.BucketKey(bucket, "win") }

// MendKey holds why a bucket must be mended before it opens; it is gone when that is done.
func MendKey(bucket int) string { return record.BucketKey(bucket, "mend") }

// prelude is written for speed: one HMGET, one XADD and one HMSET a change. XADD stands first,
// because it is the one that can refuse (an id that is not newer, a key of another type). A script
// of several changes enters each and marks once, at the end.
const prelude = `local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'vms', 'vctr', 'win')
if meta[1] ~= '@EPOCH@' then
  return redis.error_reply('FENCED script of epoch @EPOCH@, bucket of epoch ' .. tostring(meta[1]))
end
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local WIN = meta[5] or '0'
local vseq = tonumber(meta[2] or '0')
local vms = tonumber(meta[3] or '0')
local vctr = tonumber(meta[4] or '0')
local function enter(records, win, source)
  vctr = vctr + 1
  if vctr > 1023 then
    vctr = 0
    vms = vms + 1
  end
  if NOW - @BASE@ > vms then
    vms = NOW - @BASE@
    vctr = 0
  end
  vseq = vseq + 1
  local seq = string.format('%.0f', vseq)
  local id = '@EPOCH@-' .. seq
  local ms = string.format('%.0f', vms)
  local ctr = string.format('%.0f', vctr)
  local args = {'XADD', KEYS[2], id, 'm', ms, 'c', ctr}
  local n = 7
  if source then
    args[8] = 's'
    args[9] = source
    n = 9
  end
  for i = 1, #records, 4 do
    args[n + 1] = 'k'
    args[n + 2] = records[i]
    args[n + 3] = 't'
    args[n + 4] = records[i + 1]
    args[n + 5] = 'e'
    args[n + 6] = records[i + 2]
    if records[i + 3] then
      args[n + 7] = 'v'
      args[n + 8] = records[i + 3]
    else
      args[n + 7] = 'd'
      args[n + 8] = ''
    end
    n = n + 8
  end
  redis.call(unpack(args))
  if win then
    redis.call('XADD', KEYS[3], id, 'p', WIN, unpack(win))
    WIN = seq
  end
  return seq
end
local function mark()
  redis.call('HMSET', KEYS[1], 'seq', string.format('%.0f', vseq), 'vms', string.format('%.0f', vms),
    'vctr', string.format('%.0f', vctr), 'win', WIN)
end
local function commit(records, win, source)
  local seq = enter(records, win, source)
  mark()
  return seq
end
`

// Prelude is the Lua text in front of every script that changes a bucket of the given epoch.
// The epoch is part of the text, hence of the script's SHA: a Redis that restarted or was
// promoted does not know the script until the certifier has loaded it again.
func Prelude(epoch uint64) string { return ofEpoch(prelude, epoch) }

func ofEpoch(text string, epoch uint64) string {
	return strings.NewReplacer(
		"@EPOCH@", strconv.FormatUint(epoch, 10),
		"@BASE@", strconv.FormatInt(record.BaseMS, 10),
	).Replace(text)
}

// MaxRecords is the most records one commit may carry (Lua's unpack has a limit).
const MaxRecords = 200

// raise sets epoch and sequence forward, never back.
var raise = redis.NewScript(`
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'win')
local epoch = tonumber(meta[1] or '0')
local seq = tonumber(meta[2] or '0')
local mark = ARGV[3]
if mark == '' and epoch < tonumber(ARGV[4]) then
  mark = 'Redis is of epoch ' .. string.format('%.0f', epoch) .. ', the ledger certified ' .. ARGV[4]
elseif mark == '' and tonumber(meta[3] or '0') < tonumber(ARGV[5]) then
  mark = 'Redis knows wins up to seq ' .. (meta[3] or '0') .. ', the ledger up to ' .. ARGV[5]
end
if tonumber(ARGV[1]) <= epoch then
  return redis.error_reply('FENCED bucket is already of epoch ' .. string.format('%.0f', epoch))
end
if tonumber(ARGV[2]) > seq then
  seq = tonumber(ARGV[2])
end
redis.call('HMSET', KEYS[1], 'epoch', ARGV[1], 'seq', string.format('%.0f', seq))
if mark ~= '' then
  redis.call('SET', KEYS[2], mark)
end
return {string.format('%.0f', seq), mark}
`)

// Raise gives a bucket a higher epoch, and a seq not below atLeast (the last one known
// outside: to ledger or readers). It returns the bucket's seq. A bucket that never had an epoch
// starts with Raise(ctx, rdb, bucket, 1, 0).
func Raise(ctx context.Context, rdb redis.Scripter, bucket int, epoch, atLeast uint64) (seq uint64, err error) {
	seq, _, err = RaiseKnown(ctx, rdb, bucket, epoch, atLeast, "", Known{})
	return seq, err
}

// Known is what the ledger knows of a bucket: the epoch it certified, and the last win it posted.
type Known struct{ Epoch, Win uint64 }

// RaiseKnown is the certifier's Raise. What a bucket has lost shows no more afterwards, so in the
// same step the mark is written to MendKey, unless it is ""; and if the bucket is behind what is
// known, a mark that says so, which nobody had seen yet. It returns the mark, or "".
func RaiseKnown(ctx context.Context, rdb redis.Scripter, bucket int, epoch, atLeast uint64, mark string, known Known) (seq uint64, marked string, err error) {
	if epoch == 0 || epoch > record.MaxEpoch {
		return 0, "", fmt.Errorf("changelog: raise bucket %d to epoch %d: epochs are 1..%d", bucket, epoch, record.MaxEpoch)
	}
	reply, err := raise.Run(ctx, rdb, []string{MetaKey(bucket), MendKey(bucket)}, epoch, atLeast, mark, known.Epoch, known.Win).StringSlice()
	if err != nil {
		return 0, "", fmt.Errorf("changelog: raise bucket %d to epoch %d: %w", bucket, epoch, err)
	}
	seq, err = strconv.ParseUint(reply[0], 10, 64)
	return seq, reply[1], err
}

// Head is the id of the bucket's newest change: where a reader that wants only what comes
// next begins. A bucket without an epoch has the zero ID.
func Head(ctx context.Context, rdb redis.Cmdable, bucket int) (ID, error) {
	vals, err := rdb.HMGet(ctx, MetaKey(bucket), "epoch", "seq").Result()
	if err != nil {
		return ID{}, fmt.Errorf("changelog: head of bucket %d: %w", bucket, err)
	}
	var id ID
	for i, out := range []*uint64{&id.Epoch, &id.Seq} {
		s, ok := vals[i].(string)
		if !ok {
			continue
		}
		if *out, err = strconv.ParseUint(s, 10, 64); err != nil {
			return ID{}, fmt.Errorf("changelog: head of bucket %d: meta holds %q, not a number: %w", bucket, s, err)
		}
	}
	return id, nil
}
