package cmd

import (
	"context"
	"errors"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
)

// confirmed makes a command that speaks to a `sluice run` wait for the ledger as that does: the
// Redis in there is gone with the process, so what the ledger has not got is not told.
func (p *parts) confirmed(home *redpacket.HomeConfig) {
	await := func(ctx context.Context, there func(store ledger.Store) (bool, error)) error {
		store, err := p.openLedger(ctx)
		if err != nil {
			return err
		}
		for {
			if ok, err := there(store); ok || err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	home.Confirm = func(ctx context.Context, pos redpacket.Position) error {
		return await(ctx, func(store ledger.Store) (bool, error) {
			known, err := store.Positions(ctx, p.cfg.HomeID())
			return known[pos.Bucket].Position.Seq >= pos.Seq, err
		})
	}
	home.ConfirmFund = func(ctx context.Context, id redpacket.ID) error {
		return await(ctx, func(store ledger.Store) (bool, error) {
			_, err := store.RedPacket(ctx, id.String())
			if errors.Is(err, ledger.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		})
	}
	home.ConfirmClose = func(ctx context.Context, id redpacket.ID) error {
		store, err := p.openLedger(ctx)
		if err != nil {
			return err
		}
		closer, err := redpacket.NewCloser(redpacket.CloserConfig{House: p.house, Ledger: store, Log: p.log})
		if err != nil {
			return err
		}
		return closer.Finish(ctx, id)
	}
}
