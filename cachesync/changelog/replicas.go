package changelog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrReplicas says that too few replicas have what was written. It may come to them yet.
var ErrReplicas = errors.New("changelog: too few replicas have the writes")

// AwaitReplicas returns when n replicas have everything that the Redis behind client held at the
// call. WAIT speaks of the writes of its own connection only, so one byte is written first:
// replication keeps the order. scripts, if any, are SHAs that this Redis must know: another one,
// promoted meanwhile, does not, and its replicas prove nothing of the first one's writes.
func AwaitReplicas(ctx context.Context, client redis.UniversalClient, n int, timeout time.Duration, scripts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Second)
	defer cancel()
	pipe := client.Pipeline() // one connection, in this order
	pipe.Set(ctx, "sluice:wait", "1", 0)
	reached := pipe.Do(ctx, "WAIT", n, timeout.Milliseconds())
	var known *redis.BoolSliceCmd
	if len(scripts) > 0 {
		known = pipe.ScriptExists(ctx, scripts...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("changelog: waiting for replicas: %w", err)
	}
	if got, err := reached.Int(); err != nil || got < n {
		return fmt.Errorf("%w: %d of %d after %v", ErrReplicas, got, n, timeout)
	}
	if known != nil {
		for i, there := range known.Val() {
			if !there {
				return fmt.Errorf("%w: the Redis that was asked is not the one that ran script %s", ErrReplicas, scripts[i])
			}
		}
	}
	return nil
}
