package goredis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/goredis"
	"sluice/internal/servers"
)

const count = `return redis.call('INCR', KEYS[1])`

// Each call goes to a node that is stopped, so its answer does not come in time, and runs when
// the node goes on. Whatever the client did meanwhile, the counter must not run ahead of the calls.
func TestClusterNeverSendsAScriptTwice(t *testing.T) {
	ctx := context.Background()
	three := servers.StartRedisCluster(t, 3)
	c := goredis.New(&redis.UniversalOptions{
		Addrs: three.Addrs, IsClusterMode: true, ReadTimeout: 100 * time.Millisecond, DialTimeout: 100 * time.Millisecond,
	})
	defer c.Close()
	f := func(name string, call func(key string) error) {
		t.Run(name, func(t *testing.T) {
			key := fmt.Sprintf("{b07}:%s", name)
			owner := three.Owner(key)
			if err := call(key); err != nil {
				t.Fatal(err)
			}
			const calls = 4
			for range calls {
				owner.Pause()
				err := call(key)
				owner.Resume()
				if err == nil {
					t.Error("a stopped node answered")
				}
				three.Await()
			}
			if n, err := c.Get(ctx, key).Int(); err != nil || n > 1+calls {
				t.Errorf("%d calls counted %d times, %v", 1+calls, n, err)
			}
		})
	}
	sha := redis.NewScript(count).Hash()
	if err := c.ScriptLoad(ctx, count).Err(); err != nil {
		t.Fatal(err)
	}
	f("alone", func(key string) error { return c.EvalSha(ctx, sha, []string{key}).Err() })
	f("pipelined", func(key string) error {
		pipe := c.Pipeline()
		n := pipe.EvalSha(ctx, sha, []string{key})
		pipe.Get(ctx, key)
		pipe.Exec(ctx)
		return n.Err()
	})
}

func TestClusterFollowsMovedSlots(t *testing.T) {
	ctx := context.Background()
	three := servers.StartRedisCluster(t, 3)
	c := goredis.New(&redis.UniversalOptions{Addrs: three.Addrs, IsClusterMode: true})
	defer c.Close()
	const key = "{b07}:n"
	if err := c.ScriptLoad(ctx, count).Err(); err != nil { // on every node
		t.Fatal(err)
	}
	sha := redis.NewScript(count).Hash()
	for want := 1; want <= 4; want++ {
		if got, err := c.EvalSha(ctx, sha, []string{key}).Int(); err != nil || got != want {
			t.Fatalf("%d, %v, want %d", got, err, want)
		}
		three.Move(key, three.Nodes[want%3])
	}
}
