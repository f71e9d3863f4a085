package cmd

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/memcache"
	"sluice/gateway/config"
)

// durability is how a home's Redis must be set: an acknowledged win is on disk.
var durability = []struct{ name, want string }{
	{"appendonly", "yes"},
	{"appendfsync", "always"},
	{"maxmemory-policy", "noeviction"},
}

// redisReady is the readiness check of a home's Redis.
func redisReady(rdb redis.UniversalClient, cfg config.Redis) func(context.Context) error {
	one := func(ctx context.Context, node redis.Cmdable) error {
		if cfg.UnsafeDurability {
			return node.Ping(ctx).Err()
		}
		for _, d := range durability {
			got, err := node.ConfigGet(ctx, d.name).Result()
			if err != nil {
				return fmt.Errorf("redis: CONFIG GET %s: %w", d.name, err)
			}
			if got[d.name] != d.want {
				return fmt.Errorf("redis: %s is %q and must be %q, else acknowledged wins can be lost; mend redis.conf, or set redis.unsafe_durability for development",
					d.name, got[d.name], d.want)
			}
		}
		return nil
	}
	return func(ctx context.Context) error {
		if cluster, ok := rdb.(*redis.ClusterClient); ok {
			return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return one(ctx, node) })
		}
		return one(ctx, rdb)
	}
}

// bucketsReady is the readiness of the home's buckets. Behind a relay it counts only until it
// was once there: a gateway whose private line is cut still answers what its region knows.
func (p *parts) bucketsReady(check func(context.Context) error) func(context.Context) error {
	if p.relays[p.cfg.HomeID()] == nil {
		return check
	}
	var seen atomic.Bool
	return func(ctx context.Context) error {
		if seen.Load() {
			return nil
		}
		err := check(ctx)
		seen.Store(err == nil)
		return err
	}
}

// memcachedReady asks every node; one that is down is no reason to be not
// ready (it is served as misses), all of them are.
func memcachedReady(client *memcache.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		var last error
		for _, addr := range client.Nodes() {
			if _, last = client.NodeStats(ctx, addr); last == nil {
				return nil
			}
		}
		return fmt.Errorf("memcached: no node answers: %w", last)
	}
}
