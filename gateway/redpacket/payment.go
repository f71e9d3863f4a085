package redpacket

import (
	"context"
	"time"

	"sluice/gateway/ledger"
)

// Provider asks senders for money. For a portal of coupons, which costs nothing, nobody is asked.
type Provider interface {
	// Name stands in the ledger: "auto", "webhook".
	Name() string
	// Ask asks the sender to pay p. It may be called again for the same p.ID and must not ask
	// twice then. paid means that the money is there already; otherwise the provider's callback
	// confirms the payment in the ledger later.
	Ask(ctx context.Context, p ledger.Payment) (paid bool, err error)
}

// Auto is the provider of `sluice run`: everybody has paid.
type Auto struct{}

// Name implements Provider.
func (Auto) Name() string { return "auto" }

// Ask implements Provider.
func (Auto) Ask(context.Context, ledger.Payment) (bool, error) { return true, nil }

// DefaultPayWithin is how long a sender has to pay.
const DefaultPayWithin = 15 * time.Minute

// PaymentID names the one payment of a red packet.
func PaymentID(redPacket string) string { return "pay-" + redPacket }
