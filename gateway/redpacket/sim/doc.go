// Package sim runs the whole chain of money (fund, pay, split, draw, settle, pay out, close,
// refund, certify) with its real Go code and its real Lua scripts, in one goroutine, on a
// clock, a network and stores of its own, and does to it what a night can do:
//
//	requests   repeated, delivered late, twice or out of order; replies lost
//	roles      killed between any two of their calls, begun anew; paused while others go on
//	ledger     transactions that fail before or after they commit
//	Redis      restarted (its scripts are gone), emptied, put back to an older state, all of it
//	           or the buckets of one node; half the red packets are spread over several buckets
//
// Everything follows from one seed: a failing one is printed, and replays with
// `go run ./gateway/redpacket/sim/cmd -seed N -v`.
//
// What must hold, whatever happens:
//
//	no share is told to two users, no (uid, n) is told two shares;
//	nobody wins after somebody was told soldout, or the sender that it is closed, unless Redis forgot something;
//	nobody who was told of a win, or has one in the ledger, is told soldout or closed;
//	every win that was told is in the ledger with its amount, or its share is quarantined
//	    because Redis forgot it, and then it is neither won nor refunded;
//	each pay-out reaches a wallet once, and wallets have what the ledger says;
//	in the end every red packet reconciles to the fen, the ledger's audit is clean, and no
//	    bucket is frozen.
//
// Bugs puts known mistakes back in; each must be found.
package sim
