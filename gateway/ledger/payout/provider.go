package payout

import (
	"context"
	"errors"

	"sluice/gateway/ledger"
)

// Provider pays out. It must be idempotent by p.Key: a repeat answers as the
// first time and pays nothing more.
type Provider interface {
	// Pay returns the provider's own number. An error that wraps ErrRefused is
	// final for now; any other is tried again.
	Pay(ctx context.Context, p ledger.Payout) (reference string, err error)
}

// ErrRefused: the provider understood and said no.
var ErrRefused = errors.New("refused")

// Auto pays at once: the built-in provider for development.
type Auto struct{}

// Pay implements Provider.
func (Auto) Pay(_ context.Context, p ledger.Payout) (string, error) { return "auto-" + p.Key, nil }

// Rehearsal calls nobody for what was only played: it is done at once, and no wallet pays, or refuses, users
// who do not exist. Next pays all others.
type Rehearsal struct{ Next Provider }

// Pay implements Provider.
func (r Rehearsal) Pay(ctx context.Context, p ledger.Payout) (string, error) {
	if p.Played {
		return "rehearsal", nil
	}
	return r.Next.Pay(ctx, p)
}

// All gives one provider every kind.
func All(p Provider) map[ledger.Kind]Provider {
	return map[ledger.Kind]Provider{ledger.Wallet: p, ledger.Coupon: p, ledger.Message: p, ledger.Refund: p}
}
