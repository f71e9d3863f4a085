package sqlstore

import (
	"context"
	"slices"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/internal/posting"
)

// selectPayout describes pay-outs out of the journal. The source q has the
// columns of payout; entries tell what kind they are of (account.go).
const payoutColumns = `SELECT q.k, q.entry, q.state, q.tries, q.claims, q.due, q.error, q.reference, q.done_at, r.id, r.sender,
	COALESCE(a.uid, ''), COALESCE(a.n, ''), COALESCE(a.prize, ''), COALESCE(a.amount, c.left_fen, h.amount, m.amount, 0),
	COALESCE(a.at, c.at, h.at, m.confirmed_at, 0) FROM `

const payoutJoins = ` q JOIN redpacket r ON r.k = q.k
	LEFT JOIN award a ON q.entry & 15 = 1 AND a.k = q.k AND a.share = q.entry >> 4
	LEFT JOIN closed c ON q.entry & 15 = 3 AND c.k = q.k AND c.bucket = q.entry >> 4
	LEFT JOIN held h ON q.entry & 15 = 6 AND h.k = q.k AND h.share = q.entry >> 4
	LEFT JOIN payment m ON q.entry & 15 = 9 AND m.k = q.k AND m.num = q.entry >> 4 `

const selectPayout = payoutColumns + `payout` + payoutJoins

type payoutRow struct {
	ledger.Payout
	k, due, done, at int64
	entry            ledger.Entry
	id, sender, uid  string
}

func (p *payoutRow) dest() []any {
	return []any{&p.k, &p.entry, &p.State, &p.Tries, &p.Claims, &p.due, &p.LastError, &p.Reference, &p.done, &p.id, &p.sender,
		&p.uid, &p.N, &p.Prize, &p.Amount, &p.at}
}

func (p *payoutRow) payout() ledger.Payout {
	p.Key, p.RedPacket, p.Share = ledger.PayoutKey(p.id, p.entry), p.id, p.entry.Index()
	p.Kind, p.UID, p.Played = ledger.Refund, p.sender, false
	if p.entry.IsWin() {
		p.Kind, p.UID = (&ledger.Win{Amount: p.Amount, Prize: p.Prize}).Kind(), p.uid
		p.Played = ledger.Played(p.sender, p.uid)
	}
	p.Due, p.DoneAt, p.At = posting.Time(p.due), posting.Time(p.done), posting.Time(p.at)
	if p.State == ledger.Paid {
		p.Due = time.Time{}
	}
	return p.Payout
}

func (s *Store) payouts(ctx context.Context, tx Tx, q string, args ...any) ([]payoutRow, error) {
	var out []payoutRow
	var p payoutRow
	err := scan(ctx, tx, p.dest(), func() error {
		p.payout()
		out = append(out, p)
		return nil
	}, q, args...)
	return out, err
}

// Claim implements ledger.Outbox.
func (s *Store) Claim(ctx context.Context, n int, lease time.Duration) (out []ledger.Payout, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		out = nil
		now := s.ms()
		until := now + lease.Milliseconds()
		refs, err := s.due(ctx, tx, now, until, n)
		if err != nil {
			return err
		}
		if len(refs) < n {
			fresh, err := s.fresh(ctx, tx, until, n-len(refs))
			if err != nil {
				return err
			}
			refs = append(refs, fresh...)
		}
		if len(refs) == 0 {
			return nil
		}
		in, args := s.d.Pairs("q.k", "q.entry", 1, refs)
		rows, err := s.payouts(ctx, tx, selectPayout+`WHERE `+in, args...)
		if err != nil {
			return err
		}
		at := make(map[Ref]int, len(refs))
		for i, r := range refs {
			at[r] = i
		}
		slices.SortFunc(rows, func(a, b payoutRow) int { return at[Ref{a.k, a.entry}] - at[Ref{b.k, b.entry}] })
		for i := range rows {
			out = append(out, rows[i].Payout)
		}
		return nil
	})
	return out, err
}

// due claims pay-outs whose retry or lease has come.
func (s *Store) due(ctx context.Context, tx Tx, now, until int64, n int) ([]Ref, error) {
	var refs []Ref
	for _, state := range []ledger.PayState{ledger.Waiting, ledger.Claimed} {
		var r Ref
		var got []Ref
		err := scan(ctx, tx, []any{&r.K, &r.Entry}, func() error {
			got = append(got, r)
			return nil
		}, `SELECT k, entry FROM payout WHERE state = $1 AND due <= $2 ORDER BY due LIMIT $3`+s.d.Skip(), int64(state), now, n-len(refs))
		if err != nil {
			return nil, err
		}
		refs = append(refs, got...)
		if len(refs) == n {
			break
		}
	}
	rows := make([][]any, len(refs))
	for i, r := range refs {
		rows[i] = []any{r.K, int64(r.Entry), int64(ledger.Claimed), until}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return refs, tx.Many(ctx, `UPDATE payout SET state = $3, due = $4, tries = tries + 1, claims = claims + 1 WHERE k = $1 AND entry = $2`, rows)
}

// fresh moves new pay-outs from the outbox to those picked up.
func (s *Store) fresh(ctx context.Context, tx Tx, until int64, n int) ([]Ref, error) {
	var refs []Ref
	var ids []int64
	var id int64
	var r Ref
	err := scan(ctx, tx, []any{&id, &r.K, &r.Entry}, func() error {
		refs, ids = append(refs, r), append(ids, id)
		return nil
	}, `SELECT id, k, entry FROM outbox ORDER BY id LIMIT $1`+s.d.Skip(), n)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO payout (k, entry, state, tries, claims, due) SELECT k, entry, 1, 1, 1, CAST($2 AS bigint) FROM outbox WHERE `+
		s.d.Any("id", 1), s.d.Ints(ids), until); err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM outbox WHERE `+s.d.Any("id", 1), s.d.Ints(ids))
	return refs, err
}

// find turns keys into numbers.
func (s *Store) find(ctx context.Context, tx Tx, keys []string) ([]Ref, error) {
	ids := make([]string, len(keys))
	refs := make([]Ref, len(keys))
	for i, key := range keys {
		id, e, err := ledger.ParsePayoutKey(key)
		if err != nil {
			return nil, &ledger.Error{Op: "pay-out " + key, Err: ledger.ErrNotFound, Hint: err.Error()}
		}
		ids[i], refs[i].Entry = id, e
	}
	known := map[string]int64{}
	var id string
	var k int64
	err := scan(ctx, tx, []any{&id, &k}, func() error {
		known[id] = k
		return nil
	}, `SELECT id, k FROM redpacket WHERE `+s.d.Any("id", 1), s.d.Strings(ids))
	for i, id := range ids {
		refs[i].K = known[id]
	}
	return refs, err
}

// Done implements ledger.Outbox.
func (s *Store) Done(ctx context.Context, done []ledger.Outcome) error {
	if len(done) == 0 {
		return nil
	}
	keys := make([]string, len(done))
	for i := range done {
		keys[i] = done[i].Key
	}
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		refs, err := s.find(ctx, tx, keys)
		if err != nil {
			return err
		}
		// Lock first, in one order for everybody; then describe.
		in, args := s.d.Pairs("q.k", "q.entry", 1, refs)
		var r Ref
		if err := scan(ctx, tx, []any{&r.K, &r.Entry}, func() error { return nil },
			`SELECT q.k, q.entry FROM payout q WHERE `+in+` ORDER BY q.k, q.entry`+s.d.Lock(), args...); err != nil {
			return err
		}
		rows, err := s.payouts(ctx, tx, selectPayout+`WHERE `+in, args...)
		if err != nil {
			return err
		}
		known := make(map[Ref]*payoutRow, len(rows))
		for i := range rows {
			known[Ref{rows[i].k, rows[i].entry}] = &rows[i]
		}
		return s.paid(ctx, tx, done, refs, known)
	})
}

// paid posts what is newly done.
func (s *Store) paid(ctx context.Context, tx Tx, done []ledger.Outcome, refs []Ref, known map[Ref]*payoutRow) error {
	var b Bulk
	var ends [][]any
	back := map[int64]int64{}
	txn := int64(0)
	for i, o := range done {
		p := known[refs[i]]
		if p == nil {
			return &ledger.Error{Op: "pay out " + o.Key, Err: ledger.ErrNotFound, Hint: "it was never claimed"}
		}
		if p.State == ledger.Paid {
			continue
		}
		p.State = ledger.Paid
		if txn == 0 {
			var err error
			if txn, err = s.txn(ctx, tx, &b, "pay out"); err != nil {
				return err
			}
		}
		e, from, to := p.entry.Paid()
		b.Move(txn, p.k, e, from, to, p.Amount)
		ends = append(ends, []any{p.k, int64(p.entry), int64(ledger.Paid), o.Reference, posting.Ms(o.At)})
		if !p.entry.IsWin() {
			back[p.k] += p.Amount
		}
	}
	if len(ends) == 0 {
		return nil
	}
	if err := s.d.Bulk(ctx, tx, &b); err != nil {
		return err
	}
	if err := tx.Many(ctx, `UPDATE payout SET state = $3, reference = $4, done_at = $5, due = $5, error = '' WHERE k = $1 AND entry = $2`, ends); err != nil {
		return err
	}
	if len(back) == 0 {
		return nil
	}
	var ks []int64
	for k := range back {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	rows := make([][]any, len(ks))
	for i, k := range ks {
		rows[i] = []any{k, back[k]}
	}
	if err := tx.Many(ctx, `UPDATE running SET refunding = refunding - $2 WHERE k = $1`, rows); err != nil {
		return err
	}
	return s.refunded(ctx, tx, ks)
}

// end gives a claimed pay-out back, unless another has it by now.
func (s *Store) end(ctx context.Context, op string, p ledger.Payout, state ledger.PayState, cause string, due time.Time) error {
	return s.d.Write(ctx, func(tx Tx, _ int) error {
		refs, err := s.find(ctx, tx, []string{p.Key})
		if err != nil {
			return err
		}
		var n int64
		found, err := row(ctx, tx, []any{&n}, `SELECT claims FROM payout WHERE k = $1 AND entry = $2`, refs[0].K, int64(refs[0].Entry))
		if err != nil {
			return err
		}
		if !found {
			return &ledger.Error{Op: op + " " + p.Key, Err: ledger.ErrNotFound}
		}
		_, err = tx.Exec(ctx, `UPDATE payout SET state = $3, error = $4, due = $5, tries = $7 WHERE k = $1 AND entry = $2 AND state = 1 AND claims = $6`,
			refs[0].K, int64(refs[0].Entry), int64(state), cause, posting.Ms(due), p.Claims, p.Tries)
		return err
	})
}

// Fail implements ledger.Outbox.
func (s *Store) Fail(ctx context.Context, p ledger.Payout, cause string, due time.Time) error {
	return s.end(ctx, "fail", p, ledger.Waiting, cause, due)
}

// Dead implements ledger.Outbox.
func (s *Store) Dead(ctx context.Context, p ledger.Payout, cause string, sweepAt time.Time) error {
	return s.end(ctx, "dead", p, ledger.Dead, cause, sweepAt)
}

// Stuck implements ledger.Outbox.
func (s *Store) Stuck(ctx context.Context, limit int) (out []ledger.Payout, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		out = nil
		for _, where := range []string{`q.state = 3`, `q.state = 2`, `q.state = 1`} {
			rows, err := s.payouts(ctx, tx, selectPayout+`WHERE `+where+` AND q.error <> '' ORDER BY q.due LIMIT $1`, limit-len(out))
			if err != nil {
				return err
			}
			for i := range rows {
				out = append(out, rows[i].Payout)
			}
		}
		return nil
	})
	return out, err
}

// Retry implements ledger.Outbox.
func (s *Store) Retry(ctx context.Context, keys ...string) (n int, err error) {
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		const set = `UPDATE payout SET state = 2, tries = 0, due = $1 WHERE state = 3`
		if len(keys) == 0 {
			got, err := tx.Exec(ctx, set, s.ms())
			n = int(got)
			return err
		}
		refs, err := s.find(ctx, tx, keys)
		if err != nil {
			return err
		}
		in, args := s.d.Pairs("k", "entry", 2, refs)
		got, err := tx.Exec(ctx, set+` AND `+in, append([]any{s.ms()}, args...)...)
		n = int(got)
		return err
	})
	return n, err
}

// Sweep implements ledger.Outbox.
func (s *Store) Sweep(ctx context.Context) (n int, err error) {
	err = s.d.Write(ctx, func(tx Tx, _ int) error {
		got, err := tx.Exec(ctx, `UPDATE payout SET state = 2, tries = 0, due = $1 WHERE state = 3 AND due <= $1`, s.ms())
		n = int(got)
		return err
	})
	return n, err
}

// Payout implements ledger.Outbox.
func (s *Store) Payout(ctx context.Context, key string) (out ledger.Payout, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		refs, err := s.find(ctx, tx, []string{key})
		if err != nil {
			return err
		}
		rows, err := s.payouts(ctx, tx, selectPayout+`WHERE q.k = $1 AND q.entry = $2`, refs[0].K, int64(refs[0].Entry))
		if err == nil && len(rows) == 0 { // not picked up yet?
			rows, err = s.payouts(ctx, tx, payoutColumns+`(SELECT k, entry, 0 AS state, 0 AS tries, 0 AS claims, 0 AS due,
				'' AS error, '' AS reference, 0 AS done_at FROM outbox WHERE k = $1 AND entry = $2)`+payoutJoins, refs[0].K, int64(refs[0].Entry))
		}
		if err == nil && len(rows) == 0 {
			err = &ledger.Error{Op: "pay-out " + key, Err: ledger.ErrNotFound}
		}
		if err == nil {
			out = rows[0].Payout
		}
		return err
	})
	return out, err
}

// EachPayout implements ledger.Outbox. It reads pages; a page ends between two
// milliseconds or is read on by (k, entry), so that nothing is passed over.
func (s *Store) EachPayout(ctx context.Context, from, to time.Time, fn func(ledger.Payout) error) error {
	const page = 2000
	at, k, e := posting.Ms(from), int64(0), ledger.Entry(-1)
	for {
		var rows []payoutRow
		err := s.d.Read(ctx, func(tx Tx) (err error) {
			rows, err = s.payouts(ctx, tx, selectPayout+`WHERE q.state = 4 AND q.due >= $1 AND q.due < $2 AND
				(q.due > $1 OR q.k > $3 OR q.k = $3 AND q.entry > $4) ORDER BY q.due, q.k, q.entry LIMIT $5`, at, posting.Ms(to), k, int64(e), page)
			return err
		})
		if err != nil {
			return err
		}
		for i := range rows {
			if err := fn(rows[i].Payout); err != nil {
				return stop(err)
			}
			at, k, e = rows[i].due, rows[i].k, rows[i].entry
		}
		if len(rows) < page {
			return nil
		}
	}
}

// Backlog implements ledger.Outbox.
func (s *Store) Backlog(ctx context.Context) (b ledger.Backlog, err error) {
	err = s.d.Read(ctx, func(tx Tx) error {
		b = ledger.Backlog{}
		var state, n int64
		if err := scan(ctx, tx, []any{&state, &n}, func() error {
			switch ledger.PayState(state) {
			case ledger.Claimed:
				b.Claimed = int(n)
			case ledger.Waiting:
				b.Waiting = int(n)
			case ledger.Dead:
				b.Dead = int(n)
			}
			return nil
		}, `SELECT state, count(*) FROM payout WHERE state < 4 GROUP BY state`); err != nil {
			return err
		}
		// Counting millions of rows at every look would cost more than paying
		// them out: beyond 10,000 the span of their numbers is near enough.
		if _, err := row(ctx, tx, []any{&b.Queued}, `SELECT CASE WHEN c <= 10000 THEN c ELSE (SELECT max(id) - min(id) + 1 FROM outbox) END
			FROM (SELECT count(*) AS c FROM (SELECT 1 FROM outbox LIMIT 10001) few) counted`); err != nil {
			return err
		}
		rows, err := s.payouts(ctx, tx, payoutColumns+`(SELECT k, entry, 0 AS state, 0 AS tries, 0 AS claims, 0 AS due,
			'' AS error, '' AS reference, 0 AS done_at FROM outbox ORDER BY id LIMIT 1)`+payoutJoins)
		if err == nil && len(rows) == 1 {
			b.OldestQueued = posting.Time(rows[0].at)
		}
		return err
	})
	return b, err
}
