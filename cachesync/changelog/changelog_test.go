package changelog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// each runs f on miniredis and on a real Redis: scripts must answer alike on both.
func each(t *testing.T, f func(t *testing.T, rdb *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		f(t, client(t, m.Addr()))
	})
	t.Run("redis", func(t *testing.T) { f(t, client(t, servers.Redis(t).Addr)) })
}

func client(t *testing.T, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func keys(bucket int) []string { return []string{MetaKey(bucket), LogKey(bucket), WinKey(bucket)} }

func raw(t *testing.T, rdb *redis.Client, stream string) (ids []string, fields [][]string) {
	t.Helper()
	res, err := rdb.Do(context.Background(), "XRANGE", stream, "-", "+").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range res {
		pair := one.([]any)
		ids = append(ids, pair[0].(string))
		var fs []string
		for _, f := range pair[1].([]any) {
			fs = append(fs, f.(string))
		}
		fields = append(fields, fs)
	}
	return ids, fields
}

func TestCommitTakesTheNextSeqAndMintsARisingVersion(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		if _, err := Raise(ctx, rdb, 7, 3, 0); err != nil {
			t.Fatal(err)
		}
		script := redis.NewScript(Prelude(3) + `
			return commit({'rp:a', '1', '0', ARGV[1], 'w:a:u', '2', '99', false}, {'ev', 'win'})`)
		for i := range 1500 {
			seq, err := script.Run(ctx, rdb, keys(7), fmt.Sprint("payload ", i)).Text()
			if err != nil || seq != fmt.Sprint(i+1) {
				t.Fatalf("run %d: seq %q, %v", i, seq, err)
			}
		}
		ids, fields := raw(t, rdb, LogKey(7))
		var last Entry
		for i := range ids {
			e, err := ParseEntry(ids[i], fields[i], nil)
			if err != nil {
				t.Fatal(err)
			}
			if !e.ID.Follows(last.ID) || e.Version <= last.Version || e.Version.Epoch() != 3 {
				t.Fatalf("entry %d: %s %s after %s %s", i, e.ID, e.Version, last.ID, last.Version)
			}
			if len(e.Changes) != 2 || e.Changes[0].Key != "rp:a" || string(e.Changes[0].Record.Payload) != fmt.Sprint("payload ", i) ||
				!e.Changes[1].Record.Tombstone() || e.Changes[1].Expiry != 99 || e.Changes[1].Record.Type != record.TypeWin {
				t.Fatalf("entry %d: %+v", i, e)
			}
			last = e
		}
		wids, wfields := raw(t, rdb, WinKey(7))
		for i := range wids {
			want := []string{"p", fmt.Sprint(i), "ev", "win"}
			if wids[i] != fmt.Sprintf("3-%d", i+1) || fmt.Sprint(wfields[i]) != fmt.Sprint(want) {
				t.Fatalf("win %d: %s %v", i, wids[i], wfields[i])
			}
		}
		head, err := Head(ctx, rdb, 7)
		if err != nil || head != (ID{3, 1500}) {
			t.Fatalf("head %s, %v", head, err)
		}
	})
}

func TestVersionGoesOnRisingWhenTheClockStandsBehindIt(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		if _, err := Raise(ctx, rdb, 1, 1, 0); err != nil {
			t.Fatal(err)
		}
		future := int64(record.MaxMS - 10)
		rdb.HSet(ctx, MetaKey(1), "vms", future, "vctr", 1022)
		script := redis.NewScript(Prelude(1) + `return commit({'k', '1', '0', 'v'})`)
		for range 3 {
			if err := script.Run(ctx, rdb, keys(1)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		ids, fields := raw(t, rdb, LogKey(1))
		want := []record.Version{
			record.MakeVersion(1, future, 1023), record.MakeVersion(1, future+1, 0), record.MakeVersion(1, future+1, 1),
		}
		for i := range ids {
			e, err := ParseEntry(ids[i], fields[i], nil)
			if err != nil || e.Version != want[i] {
				t.Errorf("entry %d: %s, %v; want %s", i, e.Version, err, want[i])
			}
		}
	})
}

func TestScriptOfAnotherEpochIsFencedAndWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		script := redis.NewScript(Prelude(2) + `redis.call('SET', 'touched', '1') return commit({})`)
		f := func() {
			t.Helper()
			err := script.Run(ctx, rdb, keys(5)).Err()
			if err == nil || !strings.HasPrefix(err.Error(), Fenced) {
				t.Errorf("got %v, want %s", err, Fenced)
			}
			if rdb.Exists(ctx, "touched").Val() != 0 {
				t.Error("a fenced script wrote")
			}
		}
		f() // a bucket that lost its meta
		for _, epoch := range []uint64{1, 3} {
			if _, err := Raise(ctx, rdb, 5, epoch, 0); err != nil {
				t.Fatal(err)
			}
			f()
		}
	})
}

func TestRaiseNeverGoesBackAndSeqGoesOn(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		if seq, err := Raise(ctx, rdb, 0, 4, 40); err != nil || seq != 40 {
			t.Fatal(seq, err)
		}
		for _, epoch := range []uint64{3, 4} {
			if _, err := Raise(ctx, rdb, 0, epoch, 0); err == nil || !strings.Contains(err.Error(), Fenced) {
				t.Errorf("epoch %d: %v", epoch, err)
			}
		}
		if seq, err := Raise(ctx, rdb, 0, 5, 12); err != nil || seq != 40 {
			t.Error(seq, err)
		}
		script := redis.NewScript(Prelude(5) + `commit({}) return commit({'u:x', '3', '0', 'v'}, nil, '9')`)
		if seq, err := script.Run(ctx, rdb, keys(0)).Text(); err != nil || seq != "42" {
			t.Error(seq, err)
		}
		ids, fields := raw(t, rdb, LogKey(0))
		e, err := ParseEntry(ids[1], fields[1], nil)
		if err != nil || e.Version.Epoch() != 9 || e.ID != (ID{5, 42}) {
			t.Error(e, err)
		}
	})
	each(t, func(t *testing.T, rdb *redis.Client) {
		// Behind what the ledger knows, a raise leaves a mark of its own: it hides the rest.
		f := func(bucket int, known Known, mark, want string) {
			t.Helper()
			_, got, err := RaiseKnown(context.Background(), rdb, bucket, 9, 0, mark, known)
			left, _ := rdb.Get(context.Background(), MendKey(bucket)).Result()
			if err != nil || got != want || left != want {
				t.Errorf("bucket %d: %q %v, left %q, want %q", bucket, got, err, left, want)
			}
		}
		f(1, Known{}, "", "")
		f(2, Known{Epoch: 5}, "", "Redis is of epoch 0, the ledger certified 5")
		f(3, Known{Epoch: 5}, "seen before", "seen before")
		Raise(context.Background(), rdb, 4, 5, 0)
		f(4, Known{Epoch: 5, Win: 3}, "", "Redis knows wins up to seq 0, the ledger up to 3")
		Raise(context.Background(), rdb, 5, 5, 7)
		f(5, Known{Epoch: 5}, "", "")
	})
	if _, err := Raise(context.Background(), nil, 0, record.MaxEpoch+1, 0); err == nil {
		t.Error("an epoch that no version can hold was taken")
	}
}

func TestMaxRecordsFitInOneCommit(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		if _, err := Raise(ctx, rdb, 0, 1, 0); err != nil {
			t.Fatal(err)
		}
		script := redis.NewScript(Prelude(1) + `
			local records = {}
			for i = 1, #ARGV do
				records[#records + 1] = ARGV[i]
				records[#records + 1] = '3'
				records[#records + 1] = '0'
				records[#records + 1] = 'v'
			end
			return commit(records)`)
		var args []any
		for i := range MaxRecords {
			args = append(args, fmt.Sprint("u:", i))
		}
		if err := script.Run(ctx, rdb, keys(0), args...).Err(); err != nil {
			t.Fatal(err)
		}
		ids, fields := raw(t, rdb, LogKey(0))
		if e, err := ParseEntry(ids[0], fields[0], nil); err != nil || len(e.Changes) != MaxRecords {
			t.Fatal(len(e.Changes), err)
		}
	})
}

func TestMalformedEntriesAreRefused(t *testing.T) {
	f := func(id string, fields ...string) {
		t.Helper()
		if e, err := ParseEntry(id, fields, nil); !errors.Is(err, ErrEntry) {
			t.Errorf("%s %q: %+v, %v", id, fields, e, err)
		}
	}
	f("1")
	f("a-1", "m", "1", "c", "1")
	f("1-1", "m", "1")
	f("1-1", "c", "1", "m", "1")
	f("1-1", "m", "x", "c", "1")
	f("1-1", "m", "1", "c", "1", "s", "x")
	f("1-1", "m", "1", "c", "1", "k", "a", "t", "1", "e", "0")
	f("1-1", "m", "1", "c", "1", "k", "", "t", "1", "e", "0", "v", "")
	f("1-1", "m", "1", "c", "1", "k", "a", "t", "256", "e", "0", "v", "")
	f("1-1", "m", "1", "c", "1", "k", "a", "t", "1", "e", "-1", "v", "")
	f("1-1", "m", "1", "c", "1", "k", "a", "t", "1", "e", "0", "x", "")
}

func FuzzParseEntry(f *testing.F) {
	f.Add("1-2", "m\x00123\x00c\x001\x00k\x00rp:a\x00t\x001\x00e\x000\x00v\x00payload")
	f.Fuzz(func(t *testing.T, id, joined string) {
		e, err := ParseEntry(id, strings.Split(joined, "\x00"), nil)
		if err == nil && e.ID.String() != id && !strings.HasPrefix(id, "0") && !strings.Contains(id, "-0") {
			t.Fatalf("%q parsed as %s", id, e.ID)
		}
	})
}
