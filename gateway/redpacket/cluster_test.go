package redpacket

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/goredis"
	"sluice/cachesync/resp"
	"sluice/gateway/ledger/memory"
	"sluice/internal/servers"
)

// onCluster is a home on a Redis Cluster of three nodes.
func onCluster(t *testing.T) (*world, *servers.RedisCluster) {
	three := servers.StartRedisCluster(t, 3)
	w := &world{t: t, ledger: memory.New(memory.Options{})}
	client := func() redis.UniversalClient {
		c := goredis.New(&redis.UniversalOptions{Addrs: three.Addrs, IsClusterMode: true, ContextTimeoutEnabled: true, DialTimeout: time.Second})
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.rdb = client()
	w.build(client, false)
	pipe, err := resp.New(resp.Config{Addrs: three.Addrs, Cluster: true, Timeout: 2 * time.Second})
	w.must(err)
	t.Cleanup(func() { pipe.Close() })
	w.house.backend = NewPipelined(pipe)
	w.must(w.certifier.Step(context.Background()))
	return w, three
}

func TestRedisClusterWithOneNodeKilled(t *testing.T) {
	w, three := onCluster(t)
	ctx := context.Background()
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
	three.Nodes[1].Kill()
	three.Nodes[1].Start()
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
	var err error
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

// While one node is away, the buckets of another that was restarted are certified and draw. The one
// that is away would have the certifier's lease.
func TestRedisClusterIsCertifiedWhileOneNodeIsAway(t *testing.T) {
	w, three := onCluster(t)
	ctx := context.Background()
	away := three.Owner("sluice:certifier:1")
	var back *servers.RedisServer
	var id ID
	for back == nil || back == away {
		id = w.fund(twenty)
		back = three.Owner(w.house.keys[id.Bucket()].rp(id.String()))
	}
	w.draw(id, "a")
	w.settle()
	away.Kill()
	defer away.Start()
	back.Kill()
	back.Start()
	deadline := time.Now().Add(30 * time.Second)
	var err error
	for drawn := false; !drawn; drawn = err == nil {
		if time.Now().After(deadline) {
			t.Fatalf("still fenced: %v", err)
		}
		if w.certifier.Step(ctx) == nil {
			t.Fatal("nothing was said of the node that is away")
		}
		time.Sleep(100 * time.Millisecond)
		err = drawErr(w, id, "b")
	}
	if out := w.draw(id, "a"); out.Kind != Already {
		t.Fatalf("%+v", out)
	}
	if out := w.draw(id, "b"); out.Kind != Already {
		t.Fatalf("%+v", out)
	}
}

// The parts of a spread red packet stand on different nodes. While one of them is away its
// parts are "later", the others draw on and borrow from each other; afterwards it is as if nothing had been.
func TestSpreadOverAClusterOutlivesOneNodeKilled(t *testing.T) {
	w, three := onCluster(t)
	const parts, users, shares, clients = 8, 2000, 1600, 32
	id := w.fund(`{"amount":1600000,"count":1600,"parts":8}`)
	on := map[*servers.RedisServer]int{}
	for part := range parts {
		b := id.PartBucket(part)
		on[three.Owner(w.house.keys[b].part(id.String(), part))]++
	}
	if len(on) < 2 {
		t.Fatalf("all %d parts stand on one node", parts)
	}
	victim := three.Owner(w.house.keys[id.Bucket()].rp(id.String())) // part 0's: no record is minted without it
	t.Logf("%d nodes hold parts, %d of %d are on the one that is killed", len(on), on[victim], parts)

	// The users of two parts come first: these run dry early, and borrow.
	var order, others []string
	for i := range users {
		if uid := uidOf(i); partOf(uid, parts) < 2 {
			order = append(order, uid)
		} else {
			others = append(others, uid)
		}
	}
	order = append(order, others...)
	stop := w.run(true)
	results := make([]told, users)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < users; n = int(next.Add(1)) - 1 {
				results[n] = told{order[n], w.insist(id, order[n])}
				done.Add(1)
			}
		})
	}
	for _, at := range []int64{users / 5, users / 2} {
		for done.Load() < at {
			time.Sleep(time.Millisecond)
		}
		victim.Kill()
		time.Sleep(100 * time.Millisecond) // the others draw on
		victim.Start()
		three.Await()
	}
	wg.Wait()
	stop()
	w.settle()
	w.checkTold(id, results, shares)
	moves, err := w.ledger.Moves(context.Background(), id.String())
	if err != nil || len(moves) == 0 {
		t.Errorf("nobody borrowed: %v, %v", moves, err)
	}
	w.closeAllByCommand(id)
	if r := w.clean(id); r.Awards != shares || r.Left != 0 || r.Unsettled != 0 {
		t.Errorf("%v", r)
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
