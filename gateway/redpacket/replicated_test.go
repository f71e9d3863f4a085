package redpacket

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/servers"
)

// followed waits until a replica has everything.
func (w *world) followed() {
	w.t.Helper()
	for range 300 {
		pipe := w.rdb.Pipeline()
		pipe.Set(context.Background(), "follow", "1", 0)
		reached := pipe.Do(context.Background(), "WAIT", 1, 100)
		if _, err := pipe.Exec(context.Background()); err == nil {
			if n, _ := reached.Int(); n == 1 {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatal("the replica does not follow")
}

func TestAnswersGoOutOnlyWhenAReplicaHasThem(t *testing.T) {
	primary := servers.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := servers.Redis(t, "--replicaof", host+" "+port)
	w := newWorld(t, primary.Addr, false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	w.followed()
	client := redis.NewClient(&redis.Options{Addr: primary.Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	back, err := NewReplicated(w.house.backend, client, 1, 2*time.Second)
	w.must(err)
	w.house.backend = back
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if out := w.insist(id, uidOf(i)); out.Kind != Won && out.Kind != Already {
				t.Errorf("%+v", out)
			}
		}()
	}
	wg.Wait()
	replica.Kill()
	back.timeout = 50 * time.Millisecond
	var later *LaterError
	if _, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "late"}); !errors.As(err, &later) {
		t.Fatalf("without a replica: %v", err)
	}
	replica.Start()
	if out := w.insist(id, "late"); out.Kind != Already { // it had happened; now it may be told
		t.Fatalf("%+v", out)
	}
	w.settle()
	w.clean(id)
}

// Between the reply of a draw and the WAIT another Redis may have been promoted. Its replicas
// prove nothing.
func TestAnotherRedisWithReplicasProvesNothing(t *testing.T) {
	primary, other := servers.Redis(t), servers.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(other.Addr, ":")
	servers.Redis(t, "--replicaof", host+" "+port)
	promoted := newWorld(t, other.Addr, false)
	promoted.followed()
	w := newWorld(t, primary.Addr, false)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(twenty)
	node, _ := promoted.rdb.(*redis.Client)
	back, err := NewReplicated(w.house.backend, node, 1, time.Second)
	w.must(err)
	w.house.backend = back
	var later *LaterError
	if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "a"}); !errors.As(err, &later) {
		t.Fatalf("told %+v, %v", out, err)
	}
}
