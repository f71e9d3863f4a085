package cachesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/goredis"
	"sluice/cachesync/record"
)

// ErrUser: a user's state cannot be taken as it is.
var ErrUser = errors.New("cachesync: user state")

// ErrFenced: the bucket's Redis waits for its certifier; nothing was changed.
var ErrFenced = errors.New("cachesync: the bucket waits for the certifier")

// MaxUserBytes bounds one user's state.
const MaxUserBytes = 64 << 10

// User is one user's state, as PUT /admin/users/{uid} brings it.
type User struct {
	UID    string
	State  json.RawMessage // a JSON object; nil deletes the user
	Expiry int64           // Unix seconds, 0 = none
}

// Users takes live changes of user state: each enters as a versioned record at the user's
// home bucket and reaches every region by the change log. It is also the Source of u:
// records: what was changed live here, else what the user source knows. Where there are several
// homes, each has its own live changes, and a fill asks them all (Newest).
//
// A live change is kept at the home for Keep; by then the user source must have it.
type Users struct {
	RDB redis.UniversalClient
	// Epoch of the user source, the first part of user records' versions; zero is fine
	// until the source is ever replaced by one with an older clock.
	Epoch uint64
	// Keep is how long a live change stays at the home; zero value means 72 h.
	Keep time.Duration
	// Next is the user source; nil means that users are known by live changes only.
	Next Source

	mu     sync.Mutex
	epochs [Buckets]uint64 // of the buckets, as last seen
}

// userBody commits the records, then keeps each state under its version.
// ARGV: source epoch, seconds to keep, then uid key, expiry, state ("" = deleted) by turns.
const userBody = `
local records = {}
local n = 0
for i = 3, #ARGV, 3 do
  records[n + 1] = ARGV[i]
  records[n + 2] = '3'
  records[n + 3] = ARGV[i + 1]
  if ARGV[i + 2] == '' then
    records[n + 4] = false
  else
    records[n + 4] = ARGV[i + 2]
  end
  n = n + 4
end
local seq = commit(records, nil, ARGV[1])
local version = ARGV[1] .. '.' .. string.format('%.0f', vms) .. '.' .. string.format('%.0f', vctr)
local k = 4
for i = 3, #ARGV, 3 do
  redis.call('SETEX', KEYS[k], ARGV[2], version .. ' ' .. ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  k = k + 1
end
return version
`

// UserScripts are the texts that change a bucket's users; the certifier loads them when it
// has certified the bucket.
func UserScripts(epoch uint64) []string { return []string{changelog.Prelude(epoch) + userBody} }

func liveKey(bucket int, uid string) string {
	return record.BucketKey(bucket, record.PrefixUser+uid)
}

// Put takes a batch of changes. They are on their way to every region when it returns nil;
// after an error some of them may be, and the same batch may be put again. Of several changes of
// one user the last is taken: all of a batch have one version.
func (u *Users) Put(ctx context.Context, users []User) error {
	var byBucket [Buckets][]User
	last := make(map[string]int, len(users))
	for i := range users {
		if err := users[i].check(); err != nil {
			return err
		}
		last[users[i].UID] = i
	}
	for i, one := range users {
		if b := BucketOf(one.UID); last[one.UID] == i {
			byBucket[b] = append(byBucket[b], one)
		}
	}
	for try := range 2 {
		again, err := u.put(ctx, &byBucket, try > 0)
		if err != nil || !again {
			return err
		}
	}
	return fmt.Errorf("put users: %w: try again in a moment", ErrFenced)
}

func (one User) check() error {
	switch {
	case one.UID == "" || len(record.UserKey(one.UID)) > 250 || strings.ContainsAny(one.UID, " \r\n\x00\x7f"):
		return fmt.Errorf("%w: uid %.80q cannot be a cache key", ErrUser, one.UID)
	case len(one.State) > MaxUserBytes:
		return fmt.Errorf("%w: uid %s: %d bytes, at most %d are taken", ErrUser, one.UID, len(one.State), MaxUserBytes)
	case one.State != nil && (!json.Valid(one.State) || !strings.HasPrefix(strings.TrimSpace(string(one.State)), "{")):
		return fmt.Errorf("%w: uid %s: not a JSON object", ErrUser, one.UID)
	}
	return nil
}

// put sends everything that is left in one pipeline; what was fenced stays for another try
// with a fresh look at the epochs.
func (u *Users) put(ctx context.Context, left *[Buckets][]User, fresh bool) (again bool, err error) {
	if err := u.lookUp(ctx, left, fresh); err != nil {
		return false, err
	}
	keep := u.Keep
	if keep <= 0 {
		keep = 72 * time.Hour
	}
	const piece = changelog.MaxRecords / 2
	type call struct {
		bucket int
		cmd    *redis.Cmd
	}
	pipe := u.RDB.Pipeline()
	var calls []call
	for b := range left {
		for list := left[b]; len(list) > 0; {
			n := min(piece, len(list))
			keys := []string{changelog.MetaKey(b), changelog.LogKey(b), changelog.WinKey(b)}
			args := []any{strconv.FormatUint(u.Epoch, 10), int64(keep / time.Second)}
			for _, one := range list[:n] {
				keys = append(keys, liveKey(b, one.UID))
				args = append(args, record.UserKey(one.UID), one.Expiry, string(one.State))
			}
			calls = append(calls, call{b, pipe.EvalSha(ctx, u.sha(b), keys, args...)})
			list = list[n:]
		}
	}
	pipe.Exec(ctx) // each command has its own error
	var failed [Buckets]bool
	for _, c := range calls {
		switch err := c.cmd.Err(); {
		case err == nil:
		case strings.HasPrefix(err.Error(), changelog.Fenced), strings.HasPrefix(err.Error(), "NOSCRIPT"):
			failed[c.bucket], again = true, true
		default:
			return false, fmt.Errorf("cachesync: put users of bucket %d: %w", c.bucket, err)
		}
	}
	for b := range left {
		if !failed[b] {
			left[b] = nil
		}
	}
	return again, nil
}

func (u *Users) lookUp(ctx context.Context, left *[Buckets][]User, fresh bool) error {
	for b := range left {
		if len(left[b]) == 0 {
			continue
		}
		u.mu.Lock()
		known := u.epochs[b] != 0 && !fresh
		u.mu.Unlock()
		if known {
			continue
		}
		head, err := changelog.Head(ctx, u.RDB, b)
		if err != nil {
			return err
		}
		u.mu.Lock()
		u.epochs[b] = head.Epoch
		u.mu.Unlock()
	}
	return nil
}

func (u *Users) sha(bucket int) string {
	u.mu.Lock()
	epoch := u.epochs[bucket]
	u.mu.Unlock()
	return redis.NewScript(UserScripts(epoch)[0]).Hash()
}

// streamBatch and streamWait shape what Stream gathers.
const (
	streamBatch = 512
	streamWait  = 5 * time.Millisecond
)

// Stream puts everything that comes (the login queue), in batches, until the channel is
// closed. A batch that meets a fenced bucket is tried again until the context ends.
func (u *Users) Stream(ctx context.Context, in <-chan User) error {
	batch := make([]User, 0, streamBatch)
	timer := time.NewTimer(streamWait)
	defer timer.Stop()
	for open := true; open; {
		batch = batch[:0]
		var more <-chan time.Time // nil: the first is waited for
	gather:
		for len(batch) < streamBatch {
			select {
			case one, ok := <-in:
				if !ok {
					open = false
					break gather
				}
				if batch = append(batch, one); more == nil {
					timer.Reset(streamWait)
					more = timer.C
				}
			case <-more:
				break gather
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for len(batch) > 0 {
			err := u.Put(ctx, batch)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrFenced) {
				return err
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Fill implements Source: the newer of the live change and what the user source knows.
func (u *Users) Fill(ctx context.Context, keys []string) ([]Filled, error) {
	if u.Next != nil {
		return Newest{u.Live(), u.Next}.Fill(ctx, keys)
	}
	pipe := u.RDB.Pipeline()
	cmds := make([]*redis.StringCmd, len(keys))
	for i, key := range keys {
		uid := strings.TrimPrefix(key, record.PrefixUser)
		cmds[i] = pipe.Get(ctx, liveKey(BucketOf(uid), uid))
	}
	pipe.Exec(ctx) // each command has its own error
	out := make([]Filled, len(keys))
	for i, key := range keys {
		out[i].Key = key
		text, err := cmds[i].Result()
		switch {
		case errors.Is(err, redis.Nil):
			out[i].Err = ErrNotFound
		case err != nil:
			return nil, fmt.Errorf("cachesync: read live user: %w", err)
		default:
			out[i].Record, out[i].Expiry, out[i].Err = parseLive(text)
		}
	}
	return out, nil
}

// parseLive reads "<epoch>.<ms>.<counter> <expiry> <state>".
func parseLive(text string) (Record, int64, error) {
	version, rest, ok1 := strings.Cut(text, " ")
	exp, state, ok2 := strings.Cut(rest, " ")
	var epoch, ctr uint64
	var ms int64
	n, err := fmt.Sscanf(version, "%d.%d.%d", &epoch, &ms, &ctr)
	expiry, expErr := strconv.ParseInt(exp, 10, 64)
	if !ok1 || !ok2 || n != 3 || err != nil || expErr != nil {
		return Record{}, 0, fmt.Errorf("%w: the home holds %.60q", ErrUser, text)
	}
	v := MakeVersion(epoch, ms, ctr)
	r := Record{Type: TypeUser, Version: v, CommitMS: v.UnixMS(), Payload: []byte(state)}
	if state == "" {
		r.Flags = FlagTombstone
	}
	return r, expiry, nil
}

// Live is the source of live changes only: what the home itself holds of users.
func (u *Users) Live() Source { return &Users{RDB: u.RDB} }

// Snapshot implements Snapshotter for the live changes.
func (u *Users) Snapshot(ctx context.Context, emit func([]Filled) error) error {
	err := goredis.Scan(ctx, u.RDB, "{b??}:"+record.PrefixUser+"*", 1000, func(keys []string) error {
		var users []string
		for _, key := range keys {
			if _, user, ok := record.OfBucketKey(key); ok {
				users = append(users, user)
			}
		}
		list, err := u.Live().Fill(ctx, users)
		if err != nil {
			return err
		}
		return emit(list)
	})
	if err != nil {
		return fmt.Errorf("cachesync: list live users: %w", err)
	}
	return nil
}

// Prefetch starts fills of what reads, done with NoFill, did not find, and does not wait: pre-sync
// at entry, so that the next request finds the user here.
func (c *Cache) Prefetch(reads []Read) {
	for i := range reads {
		if s := c.sourceOf(reads[i].Key); s != nil && reads[i].State == Miss && reads[i].Err == nil {
			s.join(reads[i].Key, false, false)
		}
	}
}
