package changelog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestLogIsTrimmedBehindTheSlowestActiveReaderAndUnderTheCap(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		Raise(ctx, rdb, 4, 1, 0)
		script := redis.NewScript(Prelude(1) + `for i = 1, 100 do commit({'u:a', '3', '0', ARGV[1]}) end return 0`)
		script.Run(ctx, rdb, keys(4), strings.Repeat("x", 1000))
		clock := time.Now()
		tr := &Trimmer{RDB: rdb, Buckets: []int{4}, Lease: 10 * time.Second, Now: func() time.Time { return clock },
			Log: slog.New(slog.DiscardHandler), Parse: func(text string) map[int]ID {
				var n uint64
				fmt.Sscanf(text, "%d %d", new(uint64), &n)
				return map[int]ID{4: {1, n}}
			}}
		left := func(want int64) {
			t.Helper()
			if err := tr.Trim(ctx); err != nil {
				t.Fatal(err)
			}
			if n := rdb.XLen(ctx, LogKey(4)).Val(); n != want {
				t.Errorf("%d entries are left, want %d", n, want)
			}
		}
		left(100) // nobody reads: nothing may go
		Ack(ctx, rdb, "slow", 1, "30")
		Ack(ctx, rdb, "fast", 1, "90")
		left(71) // the slowest has applied 30; its entry stays
		clock = clock.Add(11 * time.Second)
		Ack(ctx, rdb, "fast", 2, "90")
		left(11) // the slow one lost its lease
		tr.CapBytes = 1
		left(1)
		if tr.Stats.Capped != 10 || tr.Stats.Readers != 1 {
			t.Errorf("%+v", tr.Stats)
		}
	})
}
