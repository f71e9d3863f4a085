package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
)

// TestASpreadRedPacketLosesNoFenThroughKills is TestNoFenIsLostThroughKills for one red packet
// over eight buckets. The users of two parts come first, so that these run dry early and
// borrow from the others while everything is killed.
func TestASpreadRedPacketLosesNoFenThroughKills(t *testing.T) {
	const parts = 8
	n := size{users: 4_000, shares: 3_200, amount: 3_200_000, clients: 48, rounds: 1, pause: 300 * time.Millisecond}
	h := startHouse(t)
	funder := newClient(h.addr, h.token("sender", "fund"))
	id := fund(t, funder, fmt.Sprintf(`{"amount":%d,"count":%d,"min":1,"max":200000,"parts":%d}`, n.amount, n.shares, parts))

	var users, others []string
	for u := range n.users {
		uid := fmt.Sprintf("u%d", u)
		if (xxhash.Sum64String(uid)>>32)%parts < 2 { // as the house does; that it borrows is proved below
			users = append(users, uid)
		} else {
			others = append(others, uid)
		}
	}
	users = slices.Concat(users, others)
	results := drill(t, h, id, n, users)
	if all, moves := partsInRedis(t, h, id); all != parts || moves == 0 {
		t.Errorf("%d parts, %d moves between them", all, moves)
	}
	check(t, h, id, n.amount, n.shares, users, results)

	mustSluice(t, "redpacket", "close", "-c", h.file, id)
	eventually(t, 30*time.Second, func() error {
		out, code := sluice(t, "redpacket", "reconcile", "-c", h.file, id)
		if code != 0 || strings.Contains(out, ", funded, ") || !zero(out, "unsettled") {
			return fmt.Errorf("exit %d:\n%s", code, out)
		}
		return nil
	})
	if out := mustSluice(t, "redpacket", "verify", "-c", h.file, id); !strings.Contains(out, fmt.Sprintf("%d winners have what the split gives", n.shares)) {
		t.Errorf("verify: %s", out)
	}
	checkLedger(t, h, id, users, results)
}

// partsInRedis counts the parts of a red packet, and the ranges they gave and took.
func partsInRedis(t *testing.T, h *house, id string) (parts int, moves int64) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: h.redis.Addr})
	defer rdb.Close()
	ctx := context.Background()
	keys, err := rdb.Keys(ctx, "*:r[pq]:"+id).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		moved, err := rdb.HGet(ctx, key, "mv").Int64()
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		moves += moved
	}
	return len(keys), moves
}
