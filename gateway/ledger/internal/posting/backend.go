package posting

import (
	"context"

	"sluice/gateway/ledger"
)

// Key names a bucket.
type Key struct{ Home, Bucket int }

// RedPacket is what planning needs to know of one.
type RedPacket struct {
	K            int64 // the store's number
	ID           string
	Home, Bucket int
	Count        int
	State        string
	Funded       int64 // 0 until paid
	Awarded      int64 // running totals, all in fen
	Returned     int64
	Held         int64
}

// Left is what may still be won or closed.
func (r *RedPacket) Left() int64 { return r.Funded - r.Awarded - r.Returned - r.Held }

// Placed is an award with its bucket.
type Placed struct {
	ledger.Win
	Bucket int
}

// Backend reads what is stored, in the transaction of the Settle.
type Backend interface {
	// Buckets reads and locks, in the order given. An unknown one is zero.
	Buckets(ctx context.Context, keys []Key) (map[Key]ledger.Bucket, error)
	// RedPackets finds those that exist.
	RedPackets(ctx context.Context, ids []string) (map[string]*RedPacket, error)
	// Held gives the shares in quarantine now.
	Held(ctx context.Context, r *RedPacket) (map[int]int64, error)
	AwardsByShare(ctx context.Context, r *RedPacket, shares []int) (map[int]Placed, error)
	// AwardsByUser is keyed by UserKey.
	AwardsByUser(ctx context.Context, r *RedPacket, users []UserKey) (map[UserKey]Placed, error)
	// Moves gives the moves out of a bucket.
	Moves(ctx context.Context, r *RedPacket, bucket int) ([]ledger.Move, error)
	Close(ctx context.Context, r *RedPacket, bucket int) (ledger.Close, bool, error)
}

// UserKey is (uid, n) in one red packet.
type UserKey struct{ UID, N string }
