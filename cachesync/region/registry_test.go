package region

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

func each(t *testing.T, f func(t *testing.T, r *Registry)) {
	run := func(name, addr string) {
		t.Run(name, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { rdb.Close() })
			f(t, &Registry{RDB: rdb, Lease: time.Minute, Grace: time.Minute})
		})
	}
	run("miniredis", miniredis.RunT(t).Addr())
	run("redis", servers.Redis(t).Addr)
}

func state(t *testing.T, r *Registry, name string) State {
	t.Helper()
	list, err := r.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if one.Name == name {
			return one.State
		}
	}
	return ""
}

func TestRegionGoesThroughItsLife(t *testing.T) {
	each(t, func(t *testing.T, r *Registry) {
		ctx := context.Background()
		me := Region{Name: "burst1", Class: "burst", Memcached: []string{"10.0.0.1:11211"}}
		token, st, err := r.Register(ctx, me, "")
		if err != nil || st != Joining {
			t.Fatal(st, err)
		}
		if st, err = r.Renew(ctx, me, token, Active); err != nil || st != Active || state(t, r, "burst1") != Active {
			t.Fatal(st, err)
		}
		// A restart within the grace time goes on; the process before is fenced.
		younger, st, err := r.Register(ctx, me, "")
		if err != nil || st != Active || younger <= token {
			t.Fatal(younger, st, err)
		}
		if _, err := r.Renew(ctx, me, token, ""); !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		// A region that lost its data says so.
		if younger, st, err = r.Register(ctx, me, Joining); err != nil || st != Joining {
			t.Fatal(st, err)
		}
		if err := r.Drain(ctx, "burst1"); err != nil {
			t.Fatal(err)
		}
		if st, err = r.Renew(ctx, me, younger, Active); err != nil || st != Draining {
			t.Fatal("a drained region became active again:", st, err)
		}
		var out bytes.Buffer
		list, _ := r.List(ctx)
		Table(&out, list)
		if !strings.Contains(out.String(), "burst1") || !strings.Contains(out.String(), "draining") || list[0].Memcached[0] != "10.0.0.1:11211" {
			t.Error(out.String())
		}
		r.Leave(ctx, "burst1", token) // not the owner any more
		if state(t, r, "burst1") != Draining {
			t.Fatal("an old token took the region off the list")
		}
		if err := r.Leave(ctx, "burst1", younger); err != nil || state(t, r, "burst1") != "" {
			t.Fatal(err)
		}
		if err := r.Drain(ctx, "burst1"); !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
	})
}

func TestLeaseMakesLostAndGraceMakesGone(t *testing.T) {
	each(t, func(t *testing.T, r *Registry) {
		r.Lease = 150 * time.Millisecond
		ctx := context.Background()
		me := Region{Name: "month1", Class: "monthly"}
		token, _, _ := r.Register(ctx, me, "")
		r.Renew(ctx, me, token, Active)
		for deadline := time.Now().Add(30 * time.Second); state(t, r, "month1") != Lost; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never lost")
			}
		}
		if st, err := r.Renew(ctx, me, token, ""); err == nil && st != Active {
			t.Fatal("a flap changed the state to", st)
		}
		r.Grace = 150 * time.Millisecond
		for deadline := time.Now().Add(30 * time.Second); state(t, r, "month1") != ""; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never gone")
			}
		}
		if _, err := r.Renew(ctx, me, token, ""); !errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
	})
}

func TestVerifyPrintsWhatDiffers(t *testing.T) {
	ctx := context.Background()
	var sides []Side
	for _, name := range []string{"bj1", "month1"} {
		addr := servers.Memcached(t)
		c, err := memcache.New(memcache.Config{Servers: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		sides = append(sides, Side{Name: name, Nodes: []string{addr}, Store: c})
	}
	put := func(side int, key string, v record.Version, payload string) {
		r := record.Record{Type: record.TypeUser, Version: v, Payload: []byte(payload)}
		ops := []memcache.Op{{Kind: memcache.Set, Key: key, Value: r.Append(nil)}}
		if err := sides[side].Store.Do(ctx, ops); err != nil {
			t.Fatal(err)
		}
	}
	for side := range sides {
		put(side, "u:same", 1, "x")
		put(side, "u:content", 1, strings.Repeat("y", side+1))
		put(side, "u:older", record.Version(7+side), "x")
	}
	put(0, "u:only", 1, "x")
	var out bytes.Buffer
	v, err := Verify(ctx, sides[0], sides[1], (&net.Dialer{}).DialContext, &out, 10)
	if err != nil || v.Different != 2 || v.Missing != 1 || !strings.Contains(out.String(), "u:older: bj1 has version 0.0.7") {
		t.Fatalf("%s, %v\n%s", v, err, out.String())
	}
	t.Log(v)
}

func TestDrainHoldsForARegionThatJoinsAgain(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer rdb.Close()
	r := &Registry{RDB: rdb}
	ctx := context.Background()
	me := Region{Name: "burst1", Class: "burst"}
	if _, _, err := r.Register(ctx, me, Active); err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(ctx, "burst1"); err != nil {
		t.Fatal(err)
	}
	if _, state, err := r.Register(ctx, me, Joining); err != nil || state != Draining {
		t.Errorf("%q, %v: the drain is forgotten", state, err)
	}
	if _, state, err := r.Register(ctx, me, ""); err != nil || state != Joining {
		t.Errorf("%q, %v: a new process begins to join", state, err)
	}
}
