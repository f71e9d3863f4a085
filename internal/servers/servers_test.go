package servers_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"sluice/internal/servers"
)

func TestMemcachedAnswers(t *testing.T) {
	c := memcache.New(servers.Memcached(t))
	if err := c.Set(&memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
}

func TestRedisKeepsItsDataThroughKill(t *testing.T) {
	ctx := context.Background()
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer c.Close()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	r.Start()
	if got, err := c.Get(ctx, "k").Result(); err != nil || got != "v" {
		t.Fatalf("after kill -9: %q, %v", got, err)
	}
}

func TestPostgresAnswers(t *testing.T) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, servers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var one int
	if err := conn.QueryRow(ctx, "select 1").Scan(&one); err != nil || one != 1 {
		t.Fatalf("select 1: %d, %v", one, err)
	}
}

func TestClusterServesEverySlotAgainAfterANodeWasKilled(t *testing.T) {
	ctx := context.Background()
	three := servers.StartRedisCluster(t, 3)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: three.Addrs})
	defer c.Close()
	for i := range 64 {
		if err := c.Set(ctx, fmt.Sprintf("{b%02d}:k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	owner := three.Owner("{b07}:k")
	owner.Kill()
	owner.Start()
	three.Await()
	for i := range 64 {
		if got, err := c.Get(ctx, fmt.Sprintf("{b%02d}:k", i)).Int(); err != nil || got != i {
			t.Fatalf("bucket %d: %d, %v", i, got, err)
		}
	}
}
