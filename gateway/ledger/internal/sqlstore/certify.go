package sqlstore

import (
	"context"
	"encoding/json"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// NextEpoch implements ledger.Certifier.
func (s *Store) NextEpoch(ctx context.Context, home int, above uint64) (next uint64, err error) {
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		_, err := row(ctx, tx, []any{&next}, `INSERT INTO epoch (home, last) VALUES ($1, $2) ON CONFLICT (home)
			DO UPDATE SET last = CASE WHEN epoch.last < excluded.last THEN excluded.last ELSE epoch.last + 1 END RETURNING last`,
			home, int64(above)+1)
		return err
	})
	return next, err
}

// Certify implements ledger.Certifier.
func (s *Store) Certify(ctx context.Context, c ledger.Certificate) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		key := posting.Key{Home: c.Home, Bucket: c.Bucket}
		at, err := (backend{s, tx}).Buckets(ctx, []posting.Key{key})
		if err != nil {
			return err
		}
		if err := posting.CheckCertificate(c, at[key]); err != nil {
			return err
		}
		if err := s.hold(ctx, tx, c.Quarantined); err != nil {
			return err
		}
		held, err := json.Marshal(c.Quarantined)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO certificate (bucket, who, at, from_epoch, to_epoch, pos_epoch, pos_seq, posted, quarantined, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, bucketID(key), c.Who, posting.Ms(c.At), int64(c.FromEpoch), int64(c.ToEpoch),
			int64(c.Position.Epoch), int64(c.Position.Seq), c.Posted, string(held), c.Note); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE bucket SET epoch = $2, frozen = '' WHERE id = $1`, bucketID(key), int64(c.ToEpoch))
		return err
	})
}

// hold quarantines shares, leaving out those held already.
func (s *Store) hold(ctx context.Context, tx Tx, held []ledger.Held) error {
	var b Bulk
	var rows [][]any
	txn := int64(0)
	reds := map[string]*posting.RedPacket{}
	back := backend{s, tx}
	if err := back.settled(ctx, held); err != nil {
		return err
	}
	for _, h := range held {
		if err := posting.CheckHeld(h); err != nil {
			return err
		}
		r := reds[h.RedPacket]
		if r == nil {
			if _, err := s.red(ctx, tx, "quarantine of", h.RedPacket, true); err != nil {
				return err
			}
			got, err := back.RedPackets(ctx, []string{h.RedPacket})
			if err != nil {
				return err
			}
			r = got[h.RedPacket]
			reds[h.RedPacket] = r
		}
		var amount int64
		known, err := row(ctx, tx, []any{&amount}, `SELECT amount FROM held WHERE k = $1 AND share = $2`, r.K, h.Share)
		if err != nil {
			return err
		}
		if known && amount == h.Amount {
			continue
		}
		if known {
			return posting.HeldConflict(h, "it is held with another amount")
		}
		won, err := back.AwardsByShare(ctx, r, []int{h.Share})
		if err != nil {
			return err
		}
		if a, ok := won[h.Share]; ok {
			return posting.HeldConflict(h, "uid "+a.UID+" won it")
		}
		if h.Amount > r.Left() {
			return posting.HeldConflict(h, "more than is left of the red packet")
		}
		if txn == 0 {
			if txn, err = s.txn(ctx, tx, &b, "quarantine"); err != nil {
				return err
			}
		}
		r.Held += h.Amount
		b.Move(txn, r.K, ledger.EntryHold(h.Share), ledger.AccountRedPacket, ledger.AccountQuarantine, h.Amount)
		// Row by row, so that a share named twice is found.
		if _, err := tx.Exec(ctx, `INSERT INTO held (k, share, txn, amount, bucket, epoch, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			r.K, h.Share, txn, h.Amount, bucketID(posting.Key{Home: h.Home, Bucket: h.Bucket}), int64(h.Epoch), h.Reason, posting.Ms(h.At)); err != nil {
			return err
		}
		rows = append(rows, []any{r.K, h.Amount})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := s.d.Bulk(ctx, tx, &b); err != nil {
		return err
	}
	return tx.Many(ctx, `UPDATE running SET held = held + $2 WHERE k = $1`, rows)
}

// Certificates implements ledger.Certifier.
func (s *Store) Certificates(ctx context.Context, home, limit int) (out []ledger.Certificate, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		out = nil
		var c ledger.Certificate
		var bucket, at int64
		var held string
		return scan(ctx, tx, []any{&bucket, &c.Who, &at, &c.FromEpoch, &c.ToEpoch, &c.Position.Epoch, &c.Position.Seq, &c.Posted, &held, &c.Note}, func() error {
			c.Home, c.Bucket, c.At, c.Quarantined = int(bucket>>21), int(bucket&(1<<21-1)), posting.Time(at), nil
			if err := json.Unmarshal([]byte(held), &c.Quarantined); err != nil {
				return err
			}
			out = append(out, c)
			return nil
		}, `SELECT bucket, who, at, from_epoch, to_epoch, pos_epoch, pos_seq, posted, quarantined, note FROM certificate
			WHERE bucket BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3`,
			bucketID(posting.Key{Home: home}), bucketID(posting.Key{Home: home + 1})-1, limit)
	})
	return out, err
}

// Freeze implements ledger.Certifier.
func (s *Store) Freeze(ctx context.Context, f ledger.FreezeError) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error { return s.freeze(ctx, tx, f) })
}

// Quarantine implements ledger.Certifier.
func (s *Store) Quarantine(ctx context.Context, held []ledger.Held) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error { return s.hold(ctx, tx, held) })
}

// held reads quarantined shares.
func (s *Store) held(ctx context.Context, tx Tx, where string, args ...any) (out []ledger.Held, err error) {
	var h ledger.Held
	var bucket, at int64
	err = scan(ctx, tx, []any{&h.RedPacket, &h.Share, &h.Amount, &bucket, &h.Epoch, &h.Reason, &at, &h.Released}, func() error {
		h.Home, h.Bucket, h.At = int(bucket>>21), int(bucket&(1<<21-1)), posting.Time(at)
		out = append(out, h)
		return nil
	}, `SELECT r.id, h.share, h.amount, h.bucket, h.epoch, h.reason, h.at, COALESCE(x.outcome, '')
		FROM held h JOIN redpacket r ON r.k = h.k LEFT JOIN released x ON x.k = h.k AND x.share = h.share `+where, args...)
	return out, err
}

// Quarantined implements ledger.Certifier.
func (s *Store) Quarantined(ctx context.Context, id string) (out []ledger.Held, err error) {
	err = s.d.Read(ctx, func(tx Tx) (err error) {
		if id == "" {
			out, err = s.held(ctx, tx, `WHERE x.k IS NULL ORDER BY h.k, h.share`)
		} else {
			out, err = s.held(ctx, tx, `WHERE r.id = $1 ORDER BY h.share`, id)
		}
		return err
	})
	return out, err
}

// Release implements ledger.Certifier.
func (s *Store) Release(ctx context.Context, list []ledger.Release) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		for _, rel := range list {
			if err := s.release(ctx, tx, rel); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) release(ctx context.Context, tx Tx, rel ledger.Release) error {
	r, err := s.red(ctx, tx, "release of", rel.RedPacket, true)
	if err != nil {
		return err
	}
	got, err := s.held(ctx, tx, `WHERE h.k = $1 AND h.share = $2`, r.k, rel.Share)
	if err != nil {
		return err
	}
	if len(got) == 0 {
		return &ledger.Error{Op: "release of", RedPacket: rel.RedPacket, Err: ledger.ErrNotFound, Hint: "this share is not held"}
	}
	h := got[0]
	todo, err := posting.CheckRelease(rel, h, r.State)
	if err != nil || !todo {
		return err
	}
	var b Bulk
	txn, err := s.txn(ctx, tx, &b, "release")
	if err != nil {
		return err
	}
	outcome := posting.ReleasedRefund
	if rel.Win != nil {
		outcome = posting.ReleasedAward
		had, err := (backend{s, tx}).AwardsByUser(ctx, &posting.RedPacket{K: r.k, ID: r.ID}, []posting.UserKey{{UID: rel.Win.UID, N: rel.Win.N}})
		if err != nil {
			return err
		}
		if len(had) > 0 {
			return posting.HeldConflict(h, "uid "+rel.Win.UID+" has won another share")
		}
		b.Move(txn, r.k, ledger.EntryAward(h.Share), ledger.AccountQuarantine, ledger.AccountRedPacket, h.Amount)
		b.Awards = []Award{{K: r.k, Bucket: int64(h.Bucket), Txn: txn, Win: rel.Win}}
	} else if h.Amount > 0 {
		b.Move(txn, r.k, ledger.EntryRelease(h.Share), ledger.AccountQuarantine, ledger.AccountRefunding, h.Amount)
		b.Outbox = []Ref{{r.k, ledger.EntryRelease(h.Share)}}
	}
	if err := s.d.Bulk(ctx, tx, &b); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO released (k, share, txn, outcome, who, why, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.k, h.Share, txn, outcome, rel.Who, rel.Why, posting.Ms(rel.At)); err != nil {
		return err
	}
	if rel.Win != nil {
		_, err = tx.Exec(ctx, `UPDATE running SET held = held - $2, awarded = awarded + $2, awards = awards + 1 WHERE k = $1`, r.k, h.Amount)
	} else {
		_, err = tx.Exec(ctx, `UPDATE running SET held = held - $2, returned = returned + $2, refunding = refunding + $2,
			state = CASE WHEN $2 > 0 THEN 'closed' ELSE state END WHERE k = $1`, r.k, h.Amount)
	}
	if err != nil {
		return err
	}
	return s.refunded(ctx, tx, []int64{r.k})
}

// refunded makes closed red packets refunded once nothing is on its way back.
func (s *Store) refunded(ctx context.Context, tx Tx, ks []int64) error {
	_, err := tx.Exec(ctx, `UPDATE running SET state = 'refunded' WHERE state = 'closed' AND refunding = 0 AND held = 0 AND returned > 0 AND `+
		s.d.Any("k", 1), s.d.Ints(ks))
	return err
}
