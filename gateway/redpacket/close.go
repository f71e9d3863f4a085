package redpacket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// CloserLedger is what closing needs of the ledger.
type CloserLedger interface {
	ledger.RedPackets
	ledger.Reader
	Moves(ctx context.Context, redPacket string) ([]ledger.Move, error)
	Positions(ctx context.Context, home int) (map[int]ledger.Bucket, error)
}

// CloserConfig is what a Closer is made of.
type CloserConfig struct {
	House  *House        // required
	Ledger CloserLedger  // required
	Every  time.Duration // 0 means 500 ms
	Keep   time.Duration // how long winners stay in Redis after close; 0 means 24 h
	Log    *slog.Logger  // nil means slog.Default
	// Closed is told of every red packet closed here; may be nil.
	Closed func(id ID)
}

// Closer ends red packets at closes_at, publishes the filters of winners, and forgets those
// that are old and reconciled. What is left goes back to the sender through the close event in
// the win stream, which the ledger admits once; so any number of closers may run.
type Closer struct {
	CloserConfig
	h         *House
	forgetAt  time.Time
	forgotAll bool // once, since the start
	filterAt  time.Time
	unheld    map[ID]int64 // red packets with quarantined shares, and when to compare again, Unix ms
}

// NewCloser checks its parts.
func NewCloser(cfg CloserConfig) (*Closer, error) {
	if cfg.House == nil || cfg.Ledger == nil {
		return nil, fmt.Errorf("redpacket: a Closer needs House and Ledger")
	}
	if cfg.Every <= 0 {
		cfg.Every = 500 * time.Millisecond
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 24 * time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Closer{CloserConfig: cfg, h: cfg.House, unheld: map[ID]int64{}}, nil
}

// Run closes until the context ends.
func (c *Closer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.Step(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("close", "err", err)
		}
		c.h.sleep(ctx, c.Every)
	}
	return ctx.Err()
}

// Step closes what is due now.
func (c *Closer) Step(ctx context.Context) error {
	now := c.h.now()
	err := c.each(ctx, ledger.Filter{States: []string{ledger.Funded}, ClosesBefore: now}, c.closeOne)
	if now.Sub(c.forgetAt) >= time.Minute || now.Before(c.forgetAt) {
		c.forgetAt = now
		old := ledger.Filter{States: []string{ledger.Closed, ledger.Refunded, ledger.Expired}, ClosesBefore: now.Add(-c.Keep)}
		if c.forgotAll { // the ledger's red packets only grow more
			old.ClosesAfter = now.Add(-c.Keep - forgetAgain)
		}
		failed := c.each(ctx, old, c.forget)
		c.forgotAll = c.forgotAll || failed == nil
		err = errors.Join(err, failed)
	}
	if now.Sub(c.filterAt) >= 2*time.Second || now.Before(c.filterAt) {
		c.filterAt = now
		err = errors.Join(err, c.filters(ctx))
	}
	return err
}

// forgetAgain is how long a red packet that does not reconcile is looked at again, before that
// is left to the next start.
const forgetAgain = 48 * time.Hour

// filters publishes the filters of winners that are due, and ends quarantines that the ledger
// ended, and tends the spread red packets.
func (c *Closer) filters(ctx context.Context) error {
	var ids []published
	alive := ledger.Filter{States: []string{ledger.Funded, ledger.Closed, ledger.Refunded}, ClosesAfter: c.h.now().Add(-c.Keep)}
	err := c.each(ctx, alive, func(ctx context.Context, id ID, row *ledger.RedPacket) error {
		ids = append(ids, published{id, spreadOver(row)})
		return c.tend(ctx, id, row)
	})
	held, failed := c.h.publishFilters(ctx, ids)
	return errors.Join(err, failed, c.unhold(ctx, held))
}

// unhold looks after red packets with quarantined shares.
func (c *Closer) unhold(ctx context.Context, held []ID) error {
	var errs []error
	now := c.h.now().UnixMilli()
	next := map[ID]int64{}
	for _, id := range held {
		if due := c.unheld[id]; now < due && due-now <= unholdEvery {
			next[id] = due
			continue
		}
		next[id] = now + unholdEvery
		errs = append(errs, Unhold(ctx, c.h, c.Ledger, id))
	}
	c.unheld = next
	return errors.Join(errs...)
}

// each collects first: a callback of the ledger must not write to it, and closing takes time.
func (c *Closer) each(ctx context.Context, f ledger.Filter, do func(context.Context, ID, *ledger.RedPacket) error) error {
	f.Homes = []int{int(c.h.home)}
	var rows []ledger.RedPacket
	if err := c.Ledger.EachRedPacket(ctx, f, func(r ledger.RedPacket) error {
		rows = append(rows, r)
		return nil
	}); err != nil {
		return fmt.Errorf("reading red packets: %w", err)
	}
	var errs []error
	for i := range rows {
		id, err := c.h.ids.Parse(rows[i].ID)
		if err == nil {
			err = do(ctx, id, &rows[i])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", rows[i].ID, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Closer) closeOne(ctx context.Context, id ID, row *ledger.RedPacket) error {
	done, _, err := c.h.close(ctx, id, "time", "")
	switch {
	case errors.Is(err, ErrNotReady), errors.Is(err, ErrNotFound):
		return nil // not open yet: the split worker will, and then it closes
	case done && c.Closed != nil:
		c.Closed(id)
	}
	if parts := spreadOver(row); err == nil && parts > 1 {
		err = c.finish(ctx, id, parts)
	}
	return err
}

// forget drops a red packet's keys when it is closed long enough and reconciled clean, or was
// never paid.
func (c *Closer) forget(ctx context.Context, id ID, row *ledger.RedPacket) error {
	text := id.String()
	k := &c.h.keys[id.Bucket()]
	n, err := c.h.control.Exists(ctx, k.rp(text), k.dropped(text)).Result()
	if err != nil || n == 0 {
		return err
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return err
	}
	if row.State != ledger.Expired { // no money ever came to one that is
		r, err := Reconcile(ctx, c.h, c.Ledger, id)
		if err != nil {
			return err
		}
		if !r.Clean() || r.Unsettled != 0 || r.Quarantined != 0 {
			return nil // kept until it is
		}
	}
	gone, err := c.h.drop(ctx, id, &sp, c.Keep)
	if gone {
		c.Log.Info("forgot", "redpacket", text)
	}
	return err
}

// dropKeys is how many keys go in one call: more would hold up the draws of others.
const dropKeys = 1000

// drop unlinks all keys of a red packet that has been closed for so long, or has expired.
func (h *House) drop(ctx context.Context, id ID, sp *spec, closedFor time.Duration) (gone bool, err error) {
	for i := sp.parts() - 1; i >= 0; i-- { // part 0 last: while it is there, the others are looked for
		k, text := &h.keys[id.PartBucket(i)], id.String()
		all := []string{k.sh(text), k.list(text), k.tries(text), k.prize(text), k.chunk(text), k.notes(text), k.taken(text)}
		for h := range sp.WinnerHashes {
			all = append(all, k.winnersHash(text, h, sp.WinnerHashes))
		}
		for more := "1"; more == "1"; {
			now := all[:min(dropKeys, len(all))]
			if all = all[len(now):]; len(all) == 0 {
				more = "0"
			}
			reply, err := h.atPart(ctx, id, i, script.Drop, func(*keys, string) []string { return append([]string{k.dropped(text)}, now...) },
				text64(closedFor.Milliseconds()), more)
			if err != nil {
				return false, err
			}
			if reply != "done" && reply != "none" {
				return false, nil // not closed that long
			}
		}
	}
	return true, nil
}

// Close implements Desk.
func (d *Home) Close(ctx context.Context, id ID, by string) (State, error) {
	_, pos, err := d.h.close(ctx, id, "command", by)
	switch {
	case err != nil:
	case pos == Position{}: // spread, and only fenced so far
		err = d.confirmClose(ctx, id)
	default:
		err = d.confirm(ctx, pos)
	}
	if err != nil {
		return State{}, err
	}
	return d.read(ctx, id)
}

// confirmClose waits until the ledger has the close of a spread red packet, where it is waited for.
func (d *Home) confirmClose(ctx context.Context, id ID) error {
	if d.ConfirmClose == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	if err := d.ConfirmClose(ctx, id); err != nil {
		return Later(500*time.Millisecond, err)
	}
	return nil
}

// close runs the close script; done is false when it was closed before. The close stands at pos
// in the win stream, or before it; a spread red packet is only fenced, and pos is zero.
func (h *House) close(ctx context.Context, id ID, reason, by string) (done bool, pos Position, err error) {
	k := &h.keys[id.Bucket()]
	text := id.String()
	reply, set, err := h.run(ctx, id.Bucket(), script.Close, k.base(k.rp(text)), []string{text, reason, by}, nil)
	if err != nil {
		return false, pos, err
	}
	word, rest, _ := strings.Cut(string(reply), "|")
	switch word {
	case "done", "again":
		_, seq, _ := strings.Cut(rest, "|")
		pos = Position{Bucket: id.Bucket(), Epoch: set.Epoch}
		if pos.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
			return false, pos, oddReply(script.Close, reply)
		}
		return word == "done", pos, nil
	case "none":
		return false, pos, ErrNotFound
	case "sender":
		return false, pos, ErrSender
	case "state", "early":
		return false, pos, fmt.Errorf("%w: it is %s", ErrNotReady, stateWord(rest))
	case "spread":
		if parts, err := strconv.Atoi(rest); err == nil {
			done, err = h.fence(ctx, id, parts, reason, by)
			return done, pos, err
		}
	}
	return false, pos, oddReply(script.Close, reply)
}

// fence ends the draws from all parts of a spread red packet, part 0 last; what is left is
// counted and told to the ledger afterwards (Closer.finish). Who finds one part fenced goes on
// where another was stopped.
func (h *House) fence(ctx context.Context, id ID, parts int, reason, by string) (done bool, err error) {
	for i := parts - 1; i >= 0; i-- {
		args := []string{"z", reason, by, "0", "0", "0"}
		if i == 0 {
			list := h.pieces(ctx, id, parts, 0)
			if err := broken(list); err != nil {
				return false, err
			}
			copy(args[3:], totalArgs(list))
		}
		reply, err := h.atPart(ctx, id, i, script.Fence, nil, args...)
		if err != nil {
			return false, err
		}
		switch word, rest, _ := strings.Cut(reply, "|"); word {
		case "done", "again":
			done = word == "done"
		case "sender":
			return false, ErrSender
		case "none", "state", "early":
			return false, fmt.Errorf("%w: part %d of %s is %s", ErrNotReady, i, id, stateWord(rest))
		default:
			return false, oddReply(script.Fence, []byte(reply))
		}
	}
	return done, nil
}
