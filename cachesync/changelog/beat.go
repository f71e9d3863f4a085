package changelog

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Beat writes one heartbeat for the readers of a node that holds these buckets: the newest
// few stay, under ids that are the node's own milliseconds.
func Beat(ctx context.Context, rdb redis.Cmdable, buckets []int) error {
	err := rdb.XAdd(ctx, &redis.XAddArgs{
		Stream: BeatKey(buckets), MaxLen: 64, Approx: true, Values: []string{"b", ""},
	}).Err()
	if err != nil {
		return fmt.Errorf("changelog: heartbeat: %w", err)
	}
	return nil
}
