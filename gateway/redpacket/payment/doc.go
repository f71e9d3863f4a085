// Package payment asks senders for the money of their red packets through a signed webhook,
// and takes the provider's signed callback.
//
//	SplitWorker ── Ask ──▶ provider          POST, Idempotency-Key = payment id
//	provider ── callback ─▶ Callback.Confirm ─▶ ledger.ConfirmPayment ─▶ the red packet is split
//
// Both ways the body is signed as everywhere in this house (package payout):
//
//	Sluice-Timestamp: 1801828800
//	Sluice-Signature: v1=<hex HMAC-SHA256(secret, timestamp + "." + body)>
//
// The callback's body is
//
//	{"payment":"pay-<red packet>","amount":10000,"reference":"the provider's number"}
//
// A callback may come late, twice or forged: a bad signature or an old timestamp is
// ErrForged; a repeat changes nothing; another amount than asked posts nothing and is
// ledger.ErrAmount; money for a red packet that expired meanwhile goes back to the sender.
package payment
