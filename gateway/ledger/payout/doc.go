// Package payout brings won money, coupons and messages to their winners, and
// refunds to the senders, out of the ledger's outbox.
//
//	           claim, lease           rate ▶ breaker ▶ call
//	outbox ──────────────▶ worker ────────────────────────▶ wallet, coupon, message, refund
//	  ▲  ▲                   │ ok: Done (posts payable ▶ paid)
//	  │  └── Fail, due later ┤ failed: backoff with full jitter
//	  └───── Dead, alarm ────┘ failed Tries times: dead letter; a sweep retries it later
//
// Nothing is ever dropped: a pay-out leaves the outbox only by Done. A worker
// that dies between the call and Done leaves a lease that runs out; the next
// worker calls again with the same Idempotency-Key, which the provider answers
// as it did before. So a winner is paid once in effect.
//
// Full jitter: the n-th try waits random(0, min(BackoffMax, BackoffMin*2^(n-1))).
// While a provider's circuit breaker is open nothing is sent to it and no try
// is counted.
//
// # Webhooks
//
// A Webhook POSTs JSON and signs it:
//
//	Idempotency-Key: rp123.w7
//	Sluice-Timestamp: 1801828800
//	Sluice-Signature: v1=<hex HMAC-SHA256(secret, timestamp + "." + body)>
//
//	{"key":"rp123.w7","kind":"wallet","redpacket":"rp123","uid":"u1","share":7,"n":"1","amount":123,"prize":"","at":"2027-02-05T12:00:00.123Z"}
//
// 2xx is done; a body {"reference":"..."} is kept. 400, 401, 403, 404, 410 and
// 422 are refusals: a dead letter at once, for trying again changes nothing.
// Everything else is tried again. Receivers check with Verify.
//
// # Concurrency
//
// Run is called once for each Worker; any number of workers, in any number of
// processes, may share an outbox.
package payout
