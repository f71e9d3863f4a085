package redpacket

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/split"
)

// Verification is the outcome of Verify.
type Verification struct {
	RedPacket string
	Commit    string // as it was promised before the draw
	Seed      string
	Checked   int64   // winners who have what the split gives, or a prize of the portal's table
	Shares    []int64 // nil for a portal: it is not split in advance
}

// Verify repeats the split of a closed red packet from its revealed seed: the seed must match
// the commit shown before the draw, and every award the share it names. Anybody can do
// the same with the seed, the rules of the red packet and package split. A portal's awards must be
// prizes of its table, with their amounts, within their budgets, and no code of a coupon twice.
func Verify(ctx context.Context, l ReconcileLedger, id ID) (Verification, error) {
	text := id.String()
	row, err := l.RedPacket(ctx, text)
	if err != nil {
		return Verification{}, fmt.Errorf("verify %s: %w", text, err)
	}
	if row.State != ledger.Closed && row.State != ledger.Refunded {
		return Verification{}, fmt.Errorf("verify %s: %w: the seed is shown after close, and it is %s", text, ErrNotReady, row.State)
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return Verification{}, err
	}
	v := Verification{RedPacket: text, Commit: hex.EncodeToString(row.SeedHash), Seed: hex.EncodeToString(row.Seed)}
	if len(row.Seed) != 32 || commitHex(split.Commit([32]byte(row.Seed))) != v.Commit {
		return v, fmt.Errorf("verify %s: the seed %s does not hash to the commit %s", text, v.Seed, v.Commit)
	}
	if v.Shares, err = amounts(&sp, row.Seed, 2); err != nil {
		return v, err
	}
	won := newPrizesWon(&sp)
	_, err = l.Reconcile(ctx, text, func(a *ledger.Award) error {
		if kind, detail := won.add(&a.Win); kind != "" {
			return fmt.Errorf("verify %s: uid %s share %d: %s", text, a.UID, a.Share, detail)
		}
		if sp.Mode != ModePortal && (a.Share < 0 || a.Share >= len(v.Shares) || v.Shares[a.Share] != a.Amount) {
			return fmt.Errorf("verify %s: uid %s won %d fen with share %d, which the seed does not give", text, a.UID, a.Amount, a.Share)
		}
		v.Checked++
		return nil
	})
	return v, err
}

// VerifySplit checks a published seed without any ledger: it returns the shares.
func VerifySplit(amount, count, low, high int64, seedHex, commit string) ([]int64, error) {
	seed, err := hex.DecodeString(seedHex)
	if err != nil || len(seed) != 32 {
		return nil, fmt.Errorf("verify: the seed must be 64 hex digits, got %s", strconv.Quote(seedHex))
	}
	if got := commitHex(split.Commit([32]byte(seed))); got != commit {
		return nil, fmt.Errorf("verify: the seed hashes to %s, promised was %s", got, commit)
	}
	shares := make([]int64, count)
	return shares, split.Lucky(split.Plan{Amount: amount, Count: count, Min: low, Max: high, Seed: [32]byte(seed)}, shares, 2)
}
