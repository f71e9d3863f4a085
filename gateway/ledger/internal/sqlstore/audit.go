package sqlstore

import (
	"context"
	"fmt"

	"sluice/gateway/ledger"
)

// Audit implements ledger.Store. Each question is one statement that finds
// nothing when all is well.
func (s *Store) Audit(ctx context.Context) (rep ledger.AuditReport, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		rep = ledger.AuditReport{}
		for q, n := range map[string]*int{"redpacket": &rep.RedPackets, "txn": &rep.Transactions, "posting": &rep.Postings, "award": &rep.Awards} {
			if _, err := row(ctx, tx, []any{n}, `SELECT count(*) FROM `+q); err != nil {
				return err
			}
		}
		for _, c := range checks {
			var a, b, sum int64
			if err := scan(ctx, tx, []any{&a, &b, &sum}, func() error {
				rep.Problems = append(rep.Problems, fmt.Sprintf(c.says, a, b, sum))
				return nil
			}, c.query+fmt.Sprintf(" LIMIT %d", 100-len(rep.Problems))); err != nil {
				return err
			}
			if len(rep.Problems) == 100 {
				return nil
			}
		}
		return nil
	})
	return rep, err
}

var checks = []struct{ says, query string }{
	{"transaction %d: its %d postings sum to %d fen",
		`SELECT txn, count(*), CAST(sum(amount) AS bigint) FROM posting GROUP BY txn HAVING sum(amount) <> 0`},
	{"red packet number %d entry %d: sums to %d fen",
		`SELECT account / 8, entry, CAST(sum(amount) AS bigint) FROM posting GROUP BY account / 8, entry HAVING sum(amount) <> 0`},
	{"red packet number %d share %d: award of %d fen without its posting",
		`SELECT a.k, a.share, a.amount FROM award a LEFT JOIN posting p ON p.account = a.k * 8 + 2 AND p.entry = a.share * 16 + 1 AND p.amount = a.amount AND p.txn = a.txn
			WHERE a.amount <> 0 AND p.account IS NULL`},
	{"red packet number %d entry %d: %d fen posted without such an award",
		`SELECT p.account / 8, p.entry, p.amount FROM posting p LEFT JOIN award a ON a.k = p.account / 8 AND a.share = p.entry >> 4
			WHERE p.account & 7 = 2 AND p.entry & 15 = 1 AND a.k IS NULL`},
	{"red packet number %d: account of the red packet holds %d fen, running totals say %d",
		`SELECT x.k, COALESCE(b.fen, 0), x.funded - x.awarded - x.returned - x.held FROM running x
			LEFT JOIN (SELECT account / 8 AS k, CAST(sum(amount) AS bigint) AS fen FROM posting WHERE account & 7 = 1 GROUP BY account) b ON b.k = x.k
			WHERE COALESCE(b.fen, 0) <> x.funded - x.awarded - x.returned - x.held`},
	{"red packet number %d: awards sum to %d fen, running totals say %d",
		`SELECT x.k, COALESCE(b.fen, 0), x.awarded FROM running x
			LEFT JOIN (SELECT k, CAST(sum(amount) AS bigint) AS fen FROM award GROUP BY k) b ON b.k = x.k WHERE COALESCE(b.fen, 0) <> x.awarded`},
	{"red packet number %d: pay-out of entry %d is done without its posting of %d fen",
		`SELECT q.k, q.entry, a.amount FROM payout q JOIN award a ON a.k = q.k AND a.share = q.entry >> 4
			LEFT JOIN posting p ON p.account = q.k * 8 + 3 AND p.entry = q.entry + 1
			WHERE q.state = 4 AND q.entry & 15 = 1 AND a.amount <> 0 AND p.account IS NULL`},
	{"red packet number %d share %d: award of %d fen is neither in the outbox nor picked up",
		`SELECT a.k, a.share, a.amount FROM award a
			LEFT JOIN payout q ON q.k = a.k AND q.entry = a.share * 16 + 1
			LEFT JOIN (SELECT k, entry FROM outbox) o ON o.k = a.k AND o.entry = a.share * 16 + 1
			WHERE q.k IS NULL AND o.k IS NULL`},
}
