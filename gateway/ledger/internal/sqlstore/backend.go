package sqlstore

import (
	"context"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// backend lets posting read inside a transaction.
type backend struct {
	*Store
	tx Tx
}

// Buckets reads and locks bucket rows; those never heard of are made first, so
// that there is a row to lock.
func (b backend) Buckets(ctx context.Context, keys []posting.Key) (map[posting.Key]ledger.Bucket, error) {
	out := make(map[posting.Key]ledger.Bucket, len(keys))
	ids := make([]int64, len(keys))
	for i, k := range keys {
		ids[i] = bucketID(k)
	}
	read := func() error {
		var r bucketRow
		return scan(ctx, b.tx, r.dest(), func() error {
			at, err := r.bucket()
			out[posting.Key{Home: at.Home, Bucket: at.Bucket}] = at
			return err
		}, selectBucket+`WHERE `+b.d.Any("id", 1)+` ORDER BY id`+b.d.Lock(), b.d.Ints(ids))
	}
	if err := read(); err != nil || len(out) == len(keys) {
		return out, err
	}
	var missing [][]any
	for _, k := range keys {
		if _, ok := out[k]; !ok {
			missing = append(missing, []any{bucketID(k)})
		}
	}
	if err := b.tx.Many(ctx, `INSERT INTO bucket (id) VALUES ($1) ON CONFLICT DO NOTHING`, missing); err != nil {
		return nil, err
	}
	return out, read()
}

// settled keeps settlers of the shares' buckets out until the transaction
// ends, so that no share is held and won at once.
func (b backend) settled(ctx context.Context, held []ledger.Held) error {
	if b.d.Lock() == "" || len(held) == 0 {
		return nil
	}
	seen := map[posting.Key]bool{}
	var keys []posting.Key
	for _, h := range held {
		if k := (posting.Key{Home: h.Home, Bucket: h.Bucket}); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	_, err := b.Buckets(ctx, keys)
	return err
}

func (b backend) RedPackets(ctx context.Context, ids []string) (map[string]*posting.RedPacket, error) {
	out := make(map[string]*posting.RedPacket, len(ids))
	var r posting.RedPacket
	err := scan(ctx, b.tx, []any{&r.K, &r.ID, &r.Home, &r.Bucket, &r.Count, &r.State, &r.Funded, &r.Awarded, &r.Returned, &r.Held}, func() error {
		c := r
		out[r.ID] = &c
		return nil
	}, `SELECT r.k, r.id, r.home, r.bucket, r.count, x.state, x.funded, x.awarded, x.returned, x.held
		FROM redpacket r JOIN running x ON x.k = r.k WHERE `+b.d.Any("r.id", 1), b.d.Strings(ids))
	return out, err
}

func (b backend) Held(ctx context.Context, r *posting.RedPacket) (map[int]int64, error) {
	out := map[int]int64{}
	var share int
	var amount int64
	err := scan(ctx, b.tx, []any{&share, &amount}, func() error {
		out[share] = amount
		return nil
	}, `SELECT share, amount FROM held h WHERE k = $1
		AND NOT EXISTS (SELECT 1 FROM released x WHERE x.k = h.k AND x.share = h.share)`, r.K)
	return out, err
}

const selectPlaced = `SELECT share, bucket, epoch, seq, uid, n, amount, prize, at FROM award WHERE k = $1 AND `

func (b backend) placed(ctx context.Context, r *posting.RedPacket, fn func(posting.Placed), q string, arg any) error {
	var p posting.Placed
	var at int64
	return scan(ctx, b.tx, []any{&p.Share, &p.Bucket, &p.Epoch, &p.Seq, &p.UID, &p.N, &p.Amount, &p.Prize, &at}, func() error {
		p.RedPacket, p.At = r.ID, posting.Time(at)
		fn(p)
		return nil
	}, selectPlaced+q, r.K, arg)
}

func (b backend) AwardsByShare(ctx context.Context, r *posting.RedPacket, shares []int) (map[int]posting.Placed, error) {
	out := make(map[int]posting.Placed, len(shares))
	err := b.placed(ctx, r, func(p posting.Placed) { out[p.Share] = p }, b.d.Any("share", 2), b.d.Ints(int64s(shares)))
	return out, err
}

func (b backend) AwardsByUser(ctx context.Context, r *posting.RedPacket, users []posting.UserKey) (map[posting.UserKey]posting.Placed, error) {
	want := make(map[posting.UserKey]bool, len(users))
	uids := make([]string, 0, len(users))
	for _, u := range users {
		want[u] = true
		uids = append(uids, u.UID)
	}
	out := map[posting.UserKey]posting.Placed{}
	err := b.placed(ctx, r, func(p posting.Placed) {
		if u := (posting.UserKey{UID: p.UID, N: p.N}); want[u] {
			out[u] = p
		}
	}, b.d.Any("uid", 2), b.d.Strings(uids))
	return out, err
}

func (b backend) Moves(ctx context.Context, r *posting.RedPacket, bucket int) ([]ledger.Move, error) {
	return moves(ctx, b.tx, r.K, r.ID, `AND bucket = $2`, bucket)
}

func (b backend) Close(ctx context.Context, r *posting.RedPacket, bucket int) (ledger.Close, bool, error) {
	c := ledger.Close{RedPacket: r.ID}
	var at int64
	found, err := row(ctx, b.tx, []any{&c.Left, &c.LeftShares, &c.Epoch, &c.Seq, &c.Reason, &at},
		`SELECT left_fen, left_shares, epoch, seq, reason, at FROM closed WHERE k = $1 AND bucket = $2`, r.K, bucket)
	c.At = posting.Time(at)
	return c, found, err
}
