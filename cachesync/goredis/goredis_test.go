package goredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/goredis"
	"sluice/internal/servers"
)

const count = `return redis.call('INCR', KEYS[1])`

// slow counts, and keeps its caller waiting for 200 ms.
const slow = `
local n = redis.call('INCR', KEYS[1])
local at = redis.call('TIME')
local from = at[1] * 1000000 + at[2]
repeat at = redis.call('TIME') until at[1] * 1000000 + at[2] > from + 200000
return n`

func TestClusterNeverSendsAScriptTwice(t *testing.T) {
	ctx := context.Background()
	three := servers.StartRedisCluster(t, 3)
	c := goredis.New(&redis.UniversalOptions{Addrs: three.Addrs, IsClusterMode: true, ReadTimeout: 100 * time.Millisecond})
	defer c.Close()
	patient := goredis.New(&redis.UniversalOptions{Addrs: three.Addrs, IsClusterMode: true})
	defer patient.Close()
	if err := patient.ScriptLoad(ctx, slow).Err(); err != nil {
		t.Fatal(err)
	}
	sha := redis.NewScript(slow).Hash()
	f := func(name string, call func(key string) error) {
		t.Run(name, func(t *testing.T) {
			key := "{b07}:" + name
			const calls = 4
			for range calls {
				if err := call(key); err == nil {
					t.Error("the answer came in time")
				}
			}
			if n, err := patient.Get(ctx, key).Int(); err != nil || n > calls || n == 0 {
				t.Errorf("%d calls counted %d times, %v", calls, n, err)
			}
		})
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
