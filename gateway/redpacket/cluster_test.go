package redpacket

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/goredis"
	"sluice/cachesync/resp"
	"sluice/gateway/ledger/memory"
	"sluice/internal/servers"
)

func TestRedisClusterWithOneNodeKilled(t *testing.T) {
	three := servers.StartRedisCluster(t, 3)
	nodes, addrs := three.Nodes, three.Addrs
	ctx := context.Background()
	w := &world{t: t, ledger: memory.New(memory.Options{})}
	client := func() redis.UniversalClient {
		c := goredis.New(&redis.UniversalOptions{Addrs: addrs, IsClusterMode: true, ContextTimeoutEnabled: true, DialTimeout: time.Second})
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.rdb = client()
	w.build(client, false)
	pipe, err := resp.New(resp.Config{Addrs: addrs, Cluster: true, Timeout: 2 * time.Second})
	w.must(err)
	t.Cleanup(func() { pipe.Close() })
	w.house.backend = NewPipelined(pipe)
	w.must(w.certifier.Step(ctx))
	var ids []ID
	for range 12 { // over all nodes, most likely
		ids = append(ids, w.fund(twenty))
	}
	for i := range 8 {
		for _, id := range ids {
			if out := w.draw(id, uidOf(i)); out.Kind != Won {
				t.Fatalf("%+v", out)
			}
		}
	}
	w.settle()
	nodes[1].Kill()
	nodes[1].Start()
	three.Await()
	fenced := 0
	for _, id := range ids {
		_, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "x"})
		if errors.Is(err, ErrFenced) {
			fenced++
		}
	}
	t.Logf("%d of %d red packets were on the killed node", fenced, len(ids))
	deadline := time.Now().Add(20 * time.Second)
	for err = w.certifier.Step(ctx); err != nil && time.Now().Before(deadline); err = w.certifier.Step(ctx) {
		time.Sleep(100 * time.Millisecond)
	}
	w.must(err)
	for _, id := range ids {
		for i := range 25 {
			out := w.insist(id, uidOf(i))
			if i < 8 && out.Kind != Already {
				t.Fatalf("%d: %+v", i, out)
			}
		}
	}
	for range 20 {
		w.settle()
	}
	for _, id := range ids {
		if r := w.clean(id); r.Quarantined != 0 || r.Left != 0 || r.Awards != 20 {
			t.Fatalf("%v", r)
		}
	}
}

// A replica that is promoted knows no scripts, so nothing is drawn before it is certified.
func TestPromotedReplicaIsFencedThenGoesOn(t *testing.T) {
	primary := servers.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := servers.Redis(t, "--replicaof", host+" "+port)
	w := newWorld(t, primary.Addr, false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	for i := range 5 {
		w.draw(id, uidOf(i))
	}
	w.followed()
	primary.Kill()
	l := w.ledger
	w = newWorld(t, replica.Addr, false)
	w.ledger = l
	w.must(w.rdb.Do(ctx, "REPLICAOF", "NO", "ONE").Err())
	w.build(func() redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: replica.Addr, MaxRetries: -1, Protocol: 2})
	}, false)
	if err := drawErr(w, id, "x"); !errors.Is(err, ErrFenced) {
		t.Fatalf("a promoted replica answered %v", err)
	}
	w.must(w.certifier.Step(ctx))
	for i := range 20 {
		if out := w.draw(id, uidOf(i)); i < 5 && out.Kind != Already || i >= 5 && out.Kind != Won {
			t.Fatalf("%d: %+v", i, out)
		}
	}
	w.settle()
	if r := w.clean(id); r.Awards != 20 || r.Quarantined != 0 {
		t.Fatalf("%v", r)
	}
}

func TestRestoredByCommandQuarantinesThoughNothingShows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		w.draw(id, "a")
		w.settle()
		if _, err := w.certifier.Restored(ctx, nil, "put back last night's backup"); err != nil {
			t.Fatal(err)
		}
		if out := w.draw(id, "a"); out.Kind != Already {
			t.Fatalf("%+v", out)
		}
		if err := drawErr(w, id, "b"); !errors.Is(err, ErrFrozen) {
			t.Fatal(err)
		}
		w.clean(id)
	})
}
