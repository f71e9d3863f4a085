package redpacket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// spreadOver is how many parts the red packet of a row has.
func spreadOver(row *ledger.RedPacket) int {
	if !bytes.Contains(row.Spec, []byte(`"spread":`)) {
		return 1
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return 1
	}
	return sp.parts()
}

// tend looks after a spread red packet: moves that are on their way are ended, and one that
// was fenced in any part, by whomever, is fenced in all and closed. One that the ledger has
// closed is closed everywhere, with nothing on its way: see finish.
func (c *Closer) tend(ctx context.Context, id ID, row *ledger.RedPacket) error {
	parts := spreadOver(row)
	if parts <= 1 || row.State != ledger.Funded {
		return nil
	}
	list := c.h.pieces(ctx, id, parts, 0)
	if _, err := c.h.deliver(ctx, c.Ledger, id, list); err != nil {
		return err
	}
	for i := range list {
		if s := list[i].state; s == "z" || s == "c" {
			return c.finish(ctx, id, parts)
		}
	}
	return nil
}

// finish closes all parts of a red packet that is past its end. What is left is counted when
// no part draws or gives any more and nothing is on its way; part 0 comes last, when the ledger
// has the closes of all others: a red packet closed in the ledger is closed everywhere.
func (c *Closer) finish(ctx context.Context, id ID, parts int) error {
	if _, err := c.h.fence(ctx, id, parts, "command", ""); err != nil {
		if errors.Is(err, ErrNotReady) {
			return nil // a part is being set up, or written again
		}
		return err
	}
	list := c.h.pieces(ctx, id, parts, 0)
	if waiting, err := c.h.deliver(ctx, c.Ledger, id, list); err != nil || waiting > 0 {
		return err
	}
	list = c.h.pieces(ctx, id, parts, 0)
	if err := broken(list); err != nil {
		return err
	}
	for i := range list {
		if s := list[i].state; list[i].notes > 0 || s != "z" && s != "c" {
			return nil // next time
		}
	}
	known, err := c.Ledger.Positions(ctx, int(c.h.home))
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	all := true
	for i := parts - 1; i >= 0; i-- {
		p := &list[i]
		if p.state == "z" && (i > 0 || all) {
			reply, err := c.h.atPart(ctx, id, i, script.Close, nil, append([]string{"closed", ""}, totalArgs(list)...)...)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(reply, "done|") && !strings.HasPrefix(reply, "again|") {
				return oddReply(script.Close, []byte(reply))
			}
		}
		at := known[p.bucket]
		all = all && p.state == "c" && p.closed > 0 && at.Position.Seq >= p.closed
	}
	return nil
}

// Finish closes a spread red packet that is fenced, now and not when the Closer's time comes, and
// returns when the ledger has the close of all its parts.
func (c *Closer) Finish(ctx context.Context, id ID) error {
	for {
		row, err := c.Ledger.RedPacket(ctx, id.String())
		if err == nil && (row.State == ledger.Closed || row.State == ledger.Refunded) {
			return nil
		}
		if err == nil {
			err = c.finish(ctx, id, spreadOver(&row))
		}
		if err == nil {
			err = c.h.sleep(ctx, 10*time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("closing %s: %w", id, err)
		}
	}
}
