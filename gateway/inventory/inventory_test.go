package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/internal/servers"
)

// source answers every key but those with "gone" in them, and is shut for those with "shut".
type source struct{}

func (source) Fill(_ context.Context, keys []string) ([]cachesync.Filled, error) {
	var out []cachesync.Filled
	for _, k := range keys {
		f := cachesync.Filled{Key: k, Record: cachesync.Record{Version: 1, Payload: []byte("x")}}
		if strings.Contains(k, "gone") {
			f.Err = cachesync.ErrNotFound
		}
		if strings.Contains(k, "shut") {
			f.Err = cachesync.ErrLater
		}
		out = append(out, f)
	}
	return out, nil
}

func TestASnapshotHasWhatTheHomeHolds(t *testing.T) {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: servers.Redis(t).Addr})
	defer rdb.Close()
	var want []string
	for i := range 1200 {
		rdb.HSet(ctx, fmt.Sprintf("{b07}:rp:id%d", i), "s", "o")
		want = append(want, fmt.Sprintf("rp:id%d", i))
	}
	want = append(want, "rm:gala", "rp:other")
	for _, key := range []string{"{b07}:rm:gala", "{b07}:rp:gone", "{b07}:meta", "{b08}:rp:other", "{b99}:rp:x", "{b07}:w:id1"} {
		rdb.HSet(ctx, key, "s", "o")
	}
	v := New("here", rdb, source{}, source{})
	var got []string
	emit := func(all []cachesync.Filled) error {
		for _, f := range all {
			got = append(got, f.Key)
		}
		return nil
	}
	slices.Sort(want)
	snapshot := func() error {
		t.Helper()
		got = nil
		err := v.Snapshot(ctx, emit)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) { // SCAN may name a key twice
			t.Fatalf("%d keys, want %d", len(got), len(want))
		}
		return err
	}
	if err := snapshot(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range v.Records(ctx, time.Now(), time.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Key != "rm:gala" { // the red packets of this test are none
			t.Errorf("%s", r.Key)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d records for the hour", n)
	}
	rdb.HSet(ctx, "{b09}:rp:shut", "s", "o")
	if err := snapshot(); !errors.Is(err, cachesync.ErrLater) { // and the rest is listed all the same
		t.Error(err)
	}
	var last error
	for _, err := range v.Records(ctx, time.Now(), time.Now().Add(time.Hour)) {
		last = err
	}
	if !errors.Is(last, cachesync.ErrLater) {
		t.Error(last)
	}
}
