package redpacket

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/gateway/ledger"
)

// Archive is the ledger as a gateway asks it: by database, or by package ledger/remote.
type Archive interface {
	RedPacket(ctx context.Context, id string) (ledger.RedPacket, error)
	Award(ctx context.Context, redPacket, uid, n string) (ledger.Award, error)
	Wins(ctx context.Context, redPacket, cursor string, limit int) (wins []ledger.Award, next string, err error)
}

// Archived is a Desk that asks the ledger about red packets which their bucket has forgotten, 24
// hours after close: a win told once is told again, whoever won nothing hears `closed`, the
// list of winners is the ledger's, and an Idempotency-Key stays that of its fund request for ever.
// What the bucket still knows, the ledger is not asked about, but for the keys of fund requests.
type Archived struct {
	Desk
	archive Archive
	ids     *IDs
	places  chan struct{} // of questions under way: a database is not a cache

	mu     sync.Mutex
	states map[ID]State // of red packets that change no more
}

const (
	archivePlaces = 32
	archiveStates = 4096
	archiveWait   = time.Second
	archiveFund   = 300 * time.Millisecond // so long a fund request waits for the ledger
	archivePage   = "l."                   // begins the name of a page of the ledger's list
)

// NewArchived puts the archive behind a Desk; a nil archive is none.
func NewArchived(next Desk, archive Archive, ids *IDs) Desk {
	if archive == nil {
		return next
	}
	return &Archived{Desk: next, archive: archive, ids: ids, places: make(chan struct{}, archivePlaces), states: map[ID]State{}}
}

// ask asks the ledger, when there is a place.
func (d *Archived) ask(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, archiveWait)
	defer cancel()
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		return Later(2*time.Second, errors.New("redpacket: too many questions to the ledger"))
	}
	err := f(ctx)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		err = Later(2*time.Second, fmt.Errorf("redpacket: asking the ledger: %w", err))
	}
	return err
}

// state is a forgotten red packet's, or ErrNotFound when the ledger knows none.
func (d *Archived) state(ctx context.Context, id ID) (State, error) {
	d.mu.Lock()
	st, ok := d.states[id]
	d.mu.Unlock()
	if ok {
		return st, nil
	}
	var row ledger.RedPacket
	err := d.ask(ctx, func(ctx context.Context) (err error) {
		row, err = d.archive.RedPacket(ctx, id.String())
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return State{}, ErrNotFound
	}
	if err != nil {
		return State{}, err
	}
	if st, err = archivedState(id, &row); err != nil {
		return State{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.states) >= archiveStates {
		clear(d.states)
	}
	d.states[id] = st
	return st, nil
}

// archivedState is what the public may see of a red packet that only the ledger knows.
func archivedState(id ID, row *ledger.RedPacket) (State, error) {
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return State{}, err
	}
	st := State{ID: id, State: StateClosed, Sender: sp.Sender, Mode: sp.Mode, Audience: sp.Audience, Lock: sp.Lock, Amount: sp.Amount,
		Count: sp.Count, Min: sp.Min, Max: sp.Max, OpensAt: sp.OpensMS, ClosesAt: sp.ClosesMS, Cap: sp.Cap,
		Commit: hex.EncodeToString(row.SeedHash), winnerHashes: sp.WinnerHashes, password: sp.Password}
	switch row.State {
	case ledger.Closed, ledger.Refunded:
		st.Seed = hex.EncodeToString(row.Seed)
	case ledger.Expired:
		st.State = StateExpired
	default: // alive, and its bucket does not know it: that is for the certifier
		return State{}, Later(5*time.Second, fmt.Errorf("%w: the ledger knows %s as %s, its bucket not at all", ErrFrozen, id, row.State))
	}
	return st, nil
}

// win is what (uid, n) won, if anything.
func (d *Archived) win(ctx context.Context, id ID, uid, n string, nowMS int64) (out Outcome, won bool, err error) {
	var a ledger.Award
	err = d.ask(ctx, func(ctx context.Context) (err error) {
		a, err = d.archive.Award(ctx, id.String(), uid, ledgerN(n))
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return Outcome{}, false, nil
	}
	out = Outcome{Kind: Already, Share: int64(a.Share), Amount: a.Amount, Now: nowMS}
	out.setPrize(a.Prize)
	return out, err == nil, err
}

// Fund implements Desk. A key that was used is known to the ledger when the bucket has forgotten it:
// another body is ErrConflict then too, and the same body hears what its red packet has become.
// While the ledger does not answer, the bucket takes the request: the SplitWorker compares it with
// the ledger before it opens, and withdraws it.
func (d *Archived) Fund(ctx context.Context, req FundRequest) (FundResult, error) {
	if req.Key == "" {
		return d.Desk.Fund(ctx, req)
	}
	id := d.ids.Derive(req.Home, req.Sender, req.Key)
	row, err := d.funded(ctx, id)
	switch {
	case err != nil: // not used, or nobody can tell
		return d.Desk.Fund(ctx, req)
	case hex.EncodeToString(row.BodyHash) != req.Hash():
		return FundResult{}, ErrConflict
	}
	if st, err := archivedState(id, &row); err == nil {
		return FundResult{ID: id, State: st.State, Again: true}, nil
	}
	return d.Desk.Fund(ctx, req)
}

// funded is the row of a red packet that may have been funded before.
func (d *Archived) funded(ctx context.Context, id ID) (row ledger.RedPacket, err error) {
	ctx, cancel := context.WithTimeout(ctx, archiveFund)
	defer cancel()
	err = d.ask(ctx, func(ctx context.Context) (err error) {
		row, err = d.archive.RedPacket(ctx, id.String())
		return err
	})
	return row, err
}

// Look implements Desk.
func (d *Archived) Look(ctx context.Context, id ID, uid string, seen *Seen) error {
	if err := d.Desk.Look(ctx, id, uid, seen); err != nil || !seen.Gone {
		return err
	}
	return d.lookBack(ctx, id, uid, seen)
}

// lookBack sees what the bucket has forgotten.
func (d *Archived) lookBack(ctx context.Context, id ID, uid string, seen *Seen) error {
	st, err := d.state(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	seen.Gone, seen.Found, seen.State = false, true, st
	if st.Mode != ModePortal { // a portal's draw names n, so Draw asks
		seen.Win, seen.WinFound, err = d.win(ctx, id, uid, "", seen.Now)
		seen.NoWin = err == nil && !seen.WinFound
	}
	return err
}

// Draw implements Desk.
func (d *Archived) Draw(ctx context.Context, req DrawRequest) (Outcome, error) {
	out, err := d.Desk.Draw(ctx, req)
	if !errors.Is(err, ErrNotFound) {
		return out, err
	}
	return d.drawn(ctx, &req)
}

// drawn tells the outcome of a draw from what the bucket has forgotten.
func (d *Archived) drawn(ctx context.Context, req *DrawRequest) (Outcome, error) {
	if _, err := d.state(ctx, req.ID); err != nil {
		return Outcome{}, err
	}
	now := time.Now().UnixMilli()
	if out, won, err := d.win(ctx, req.ID, req.UID, req.N, now); won || err != nil {
		return out, err
	}
	return Outcome{Kind: Closed, Now: now}, nil
}

// Show implements Desk.
func (d *Archived) Show(ctx context.Context, id ID) (State, error) {
	st, err := d.Desk.Show(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return d.state(ctx, id)
	}
	return st, err
}

// Winners implements Desk. Pages of the ledger's list are in the order of shares.
func (d *Archived) Winners(ctx context.Context, id ID, page string) (WinnersPage, error) {
	cursor, mine := strings.CutPrefix(page, archivePage)
	if !mine {
		out, err := d.Desk.Winners(ctx, id, page)
		if !errors.Is(err, ErrNotFound) {
			return out, err
		}
		if _, err := d.state(ctx, id); err != nil {
			return WinnersPage{}, err
		}
		if cursor = ""; page != "" { // forgotten while somebody was turning its pages
			return WinnersPage{}, fieldError("page", CodeInvalid, "is of a list that has moved to the archive: begin again without it")
		}
	}
	var wins []ledger.Award
	var next string
	err := d.ask(ctx, func(ctx context.Context) (err error) {
		wins, next, err = d.archive.Wins(ctx, id.String(), cursor, pageSize)
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return WinnersPage{}, ErrNotFound
	case errors.Is(err, ledger.ErrInvalid):
		return WinnersPage{}, fieldError("page", CodeInvalid, "is not one that an earlier page named as next")
	case err != nil:
		return WinnersPage{}, err
	}
	var out WinnersPage
	for i := range wins {
		a := &wins[i]
		w := Winner{UID: a.UID, Share: int64(a.Share), Amount: a.Amount, WonAt: a.At.UnixMilli()}
		if a.N != "1" {
			w.N = a.N
		}
		var o Outcome
		o.setPrize(a.Prize)
		w.Prize = o.Prize
		out.Winners = append(out.Winners, w)
	}
	if next != "" {
		out.Next = archivePage + next
	}
	return out, nil
}
