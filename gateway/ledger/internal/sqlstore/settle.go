package sqlstore

import (
	"context"
	"encoding/json"
	"errors"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// Settle implements ledger.Settler.
func (s *Store) Settle(ctx context.Context, batches []ledger.Batch) error {
	var left error
	err := s.d.Write(ctx, func(tx Tx, attempt int) error {
		plan, err := posting.Make(ctx, backend{s, tx}, batches, attempt > 1)
		if err != nil {
			return err
		}
		left = errors.Join(plan.Errs...)
		for _, f := range plan.Freezes {
			if err := s.freeze(ctx, tx, *f); err != nil {
				return err
			}
		}
		if len(plan.Parts) == 0 {
			return nil
		}
		return s.post(ctx, tx, plan)
	})
	if err != nil {
		return err
	}
	return left
}

// post writes a plan.
func (s *Store) post(ctx context.Context, tx Tx, plan *posting.Plan) error {
	ids, err := s.d.NextTxns(ctx, tx, len(plan.Parts))
	if err != nil {
		return err
	}
	b := Bulk{Awards: make([]Award, 0, plan.Wins), Txns: make([]Txn, 0, len(ids))}
	var closed, moved [][]any
	now := s.ms()
	for i := range plan.Parts {
		p := &plan.Parts[i]
		txn := ids[i]
		b.Txns = append(b.Txns, Txn{ID: txn, At: now, Op: "settle", Key: p.Key, From: p.From, To: p.To})
		var r *posting.RedPacket
		for j := range p.Wins {
			w := &p.Wins[j]
			if r == nil || r.ID != w.RedPacket {
				r = plan.Red(w.RedPacket)
			}
			b.Awards = append(b.Awards, Award{K: r.K, Bucket: int64(p.Bucket), Txn: txn, Win: w})
		}
		for j := range p.Closes {
			c := &p.Closes[j]
			k := plan.Red(c.RedPacket).K
			closed = append(closed, []any{k, p.Bucket, txn, int64(c.Epoch), int64(c.Seq), c.Left, c.LeftShares, c.Reason, posting.Ms(c.At)})
			if c.Left > 0 {
				b.Move(txn, k, ledger.EntryClose(p.Bucket), ledger.AccountRedPacket, ledger.AccountRefunding, c.Left)
				b.Outbox = append(b.Outbox, Ref{k, ledger.EntryClose(p.Bucket)})
			}
		}
		for j := range p.Moves {
			m := &p.Moves[j]
			moved = append(moved, []any{plan.Red(m.RedPacket).K, m.From, int64(m.Epoch), int64(m.Seq), txn, m.To, m.First, m.Count, m.Amount, posting.Ms(m.At)})
		}
	}
	if err := s.d.Bulk(ctx, tx, &b); err != nil {
		return err
	}
	if len(moved) > 0 {
		err := tx.Many(ctx, `INSERT INTO moved (k, bucket, epoch, seq, txn, to_bucket, first, count, amount, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, moved)
		if err != nil {
			return err
		}
	}
	if len(closed) > 0 {
		err := tx.Many(ctx, `INSERT INTO closed (k, bucket, txn, epoch, seq, left_fen, left_shares, reason, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, closed)
		if err != nil {
			return err
		}
	}
	if err := s.advance(ctx, tx, plan); err != nil {
		return err
	}
	return s.running(ctx, tx, plan)
}

func (s *Store) advance(ctx context.Context, tx Tx, plan *posting.Plan) error {
	rows := make([][]any, 0, len(plan.Buckets))
	for i := range plan.Parts { // in order, the last of a bucket counts
		b := plan.Buckets[plan.Parts[i].Key]
		if i+1 == len(plan.Parts) || plan.Parts[i+1].Key != plan.Parts[i].Key {
			rows = append(rows, []any{bucketID(plan.Parts[i].Key), int64(b.Position.Epoch), int64(b.Position.Seq), int64(b.Epoch)})
		}
	}
	return tx.Many(ctx, `UPDATE bucket SET pos_epoch = $2, pos_seq = $3, epoch = $4 WHERE id = $1`, rows)
}

// running adds to the totals, last and in the order of k: a hot red packet's
// row is locked only from here to the commit.
func (s *Store) running(ctx context.Context, tx Tx, plan *posting.Plan) error {
	var wins, closes [][]any
	for _, d := range plan.Sorted() {
		if d.Returned == 0 && !d.Close {
			wins = append(wins, []any{d.K, d.Awarded, d.Awards})
			continue
		}
		state := ""
		if d.Close {
			state = ledger.Closed
		}
		closes = append(closes, []any{d.K, d.Awarded, d.Awards, d.Returned, state})
	}
	if len(wins) > 0 {
		if err := tx.Many(ctx, `UPDATE running SET awarded = awarded + $2, awards = awards + $3 WHERE k = $1`, wins); err != nil {
			return err
		}
	}
	if len(closes) == 0 {
		return nil
	}
	if err := tx.Many(ctx, `UPDATE running SET awarded = awarded + $2, awards = awards + $3, returned = returned + $4, refunding = refunding + $4,
		state = CASE WHEN $5 <> '' THEN $5 WHEN state = 'refunded' AND $4 > 0 THEN 'closed' ELSE state END WHERE k = $1`, closes); err != nil {
		return err
	}
	ks := make([]int64, len(closes))
	for i := range closes {
		ks[i] = closes[i][0].(int64)
	}
	return s.refunded(ctx, tx, ks) // when this close was the last and returned nothing
}

// bucketID packs (home, bucket) into one key.
func bucketID(k posting.Key) int64 { return int64(k.Home)<<21 | int64(k.Bucket) }

const selectBucket = `SELECT id, pos_epoch, pos_seq, epoch, frozen FROM bucket `

type bucketRow struct {
	id, posEpoch, posSeq, epoch int64
	frozen                      string
}

func (b *bucketRow) dest() []any { return []any{&b.id, &b.posEpoch, &b.posSeq, &b.epoch, &b.frozen} }

func (b *bucketRow) bucket() (ledger.Bucket, error) {
	out := ledger.Bucket{Home: int(b.id >> 21), Bucket: int(b.id & (1<<21 - 1)), Epoch: uint64(b.epoch),
		Position: ledger.Position{Epoch: uint64(b.posEpoch), Seq: uint64(b.posSeq)}}
	if b.frozen != "" {
		out.Frozen = &ledger.FreezeError{}
		if err := json.Unmarshal([]byte(b.frozen), out.Frozen); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Moves implements ledger.Settler.
func (s *Store) Moves(ctx context.Context, id string) (out []ledger.Move, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		r, err := s.red(ctx, tx, "moves of", id, false)
		if err == nil {
			out, err = moves(ctx, tx, r.k, r.ID, "")
		}
		return err
	})
	return out, err
}

// moves reads those of a red packet that where allows.
func moves(ctx context.Context, tx Tx, k int64, id, where string, args ...any) (out []ledger.Move, err error) {
	m := ledger.Move{RedPacket: id}
	var at int64
	err = scan(ctx, tx, []any{&m.From, &m.Epoch, &m.Seq, &m.To, &m.First, &m.Count, &m.Amount, &at}, func() error {
		m.At = posting.Time(at)
		out = append(out, m)
		return nil
	}, `SELECT bucket, epoch, seq, to_bucket, first, count, amount, at FROM moved WHERE k = $1 `+where+` ORDER BY txn, bucket, epoch, seq`,
		append([]any{k}, args...)...)
	return out, err
}

// Positions implements ledger.Settler.
func (s *Store) Positions(ctx context.Context, home int) (out map[int]ledger.Bucket, err error) {
	err = s.d.Read(ctx, func(tx Tx) (err error) {
		out, err = s.positions(ctx, tx, home)
		return err
	})
	return out, err
}

func (s *Store) positions(ctx context.Context, tx Tx, home int) (map[int]ledger.Bucket, error) {
	out := map[int]ledger.Bucket{}
	var r bucketRow
	err := scan(ctx, tx, r.dest(), func() error {
		b, err := r.bucket()
		out[b.Bucket] = b
		return err
	}, selectBucket+`WHERE id BETWEEN $1 AND $2`, bucketID(posting.Key{Home: home}), bucketID(posting.Key{Home: home + 1})-1)
	return out, err
}

// freeze keeps the first reason.
func (s *Store) freeze(ctx context.Context, tx Tx, f ledger.FreezeError) error {
	doc, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO bucket (id, frozen) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET frozen = excluded.frozen WHERE bucket.frozen = ''`,
		bucketID(posting.Key{Home: f.Home, Bucket: f.Bucket}), string(doc))
	return err
}
