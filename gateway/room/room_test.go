package room

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// onBoth runs a test on Redis and on miniredis: the scripts must answer alike.
func onBoth(t *testing.T, f func(t *testing.T, s *Store, rdb *redis.Client)) {
	run := func(name, addr string) {
		t.Run(name, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
			defer rdb.Close()
			f(t, NewStore(rdb), rdb)
		})
	}
	run("redis", servers.Redis(t).Addr)
	run("miniredis", miniredis.RunT(t).Addr())
}

// certify makes the bucket of a room writable, as the certifier does.
func certify(t *testing.T, rdb *redis.Client, id string, epoch uint64) {
	t.Helper()
	ctx := context.Background()
	if _, err := changelog.Raise(ctx, rdb, record.BucketOf(id), epoch, 0); err != nil {
		t.Fatal(err)
	}
	for _, text := range Scripts(epoch) {
		if err := rdb.ScriptLoad(ctx, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func put(r Room) func(*Room) (*Room, error) {
	return func(*Room) (*Room, error) { return &r, nil }
}

func TestAStoredRoomIsReadBackAndLogged(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store, rdb *redis.Client) {
		ctx := context.Background()
		if _, _, err := s.Get(ctx, "gala"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("before: %v", err)
		}
		if _, err := s.Change(ctx, "gala", put(Room{State: Live})); !errors.Is(err, ErrFenced) {
			t.Fatalf("before the bucket is certified: %v", err)
		}
		certify(t, rdb, "gala", 1)
		if _, err := s.Change(ctx, "gala", put(Room{Title: "Gala", State: Live, Bans: []string{"z", "a", "a"}})); err != nil {
			t.Fatal(err)
		}
		r, version, err := s.Get(ctx, "gala")
		if err != nil || r.Title != "Gala" || !r.Banned("a") || !r.Banned("z") || r.Banned("b") || len(r.Bans) != 2 || version.Epoch() != 1 {
			t.Fatalf("%+v %v %v", r, version, err)
		}
		log, err := rdb.XRange(ctx, changelog.LogKey(record.BucketOf("gala")), "-", "+").Result()
		if err != nil || len(log) != 1 || log[0].ID != "1-1" || !strings.Contains(fmt.Sprint(log[0].Values), "rm:gala") {
			t.Fatalf("change log: %v %v", log, err)
		}
		filled, err := s.Fill(ctx, []string{"rm:gala", "rm:none"})
		if err != nil || filled[0].Record.Version != version || filled[1].Err == nil {
			t.Fatalf("fill: %+v %v", filled, err)
		}
		certify(t, rdb, "gala", 2)
		if _, err := s.Change(ctx, "gala", put(Room{State: Closed})); err != nil {
			t.Fatal(err)
		}
		if _, newer, _ := s.Get(ctx, "gala"); newer <= version {
			t.Fatalf("version %v after %v", newer, version)
		}
	})
}

func TestChangesAtTheSameTimeAreNotLost(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store, rdb *redis.Client) {
		ctx := context.Background()
		certify(t, rdb, "r", 1)
		if _, err := s.Change(ctx, "r", put(Room{State: Live})); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := s.Change(ctx, "r", func(r *Room) (*Room, error) {
					r.Ban(fmt.Sprintf("u%d", i), true)
					return r, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if r, _, _ := s.Get(ctx, "r"); len(r.Bans) != 8 {
			t.Fatalf("bans: %v", r.Bans)
		}
	})
}

func TestCapacityCountsEachViewerOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store, _ *redis.Client) {
		ctx := context.Background()
		r := &Room{ID: "small", Capacity: 2}
		f := func(uid string, want bool) {
			t.Helper()
			if got, err := s.Take(ctx, r, uid, time.Minute); err != nil || got != want {
				t.Errorf("%s: %v %v", uid, got, err)
			}
		}
		f("a", true)
		f("a", true)
		f("b", true)
		f("c", false)
		f("b", true)
	})
}

func TestRoomsThatCannotBeStored(t *testing.T) {
	f := func(r Room, want string) {
		t.Helper()
		if err := r.Check(); !errors.Is(err, errBad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	f(Room{ID: "a b", State: Live}, "id")
	f(Room{ID: strings.Repeat("x", 65), State: Live}, "id")
	f(Room{ID: "a", State: "open"}, "state")
	f(Room{ID: "a", State: Live, Capacity: -1}, "capacity")
	f(Room{ID: "a", State: Live, Title: strings.Repeat("x", 201)}, "title")
	f(Room{ID: "a", State: Live, Bans: make([]string, MaxBans+1)}, "bans")
}
