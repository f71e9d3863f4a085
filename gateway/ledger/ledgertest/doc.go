// Package ledgertest is the one suite that every ledger store passes.
//
//	func TestLedger(t *testing.T) {
//		ledgertest.Run(t, func(t *testing.T, o ledgertest.Options) ledger.Store { ... })
//	}
//
// Besides fixed cases it drives a store and ledger/memory with the same random
// events (duplicates, overlaps, other orders, other content) and compares what
// both answer and hold.
package ledgertest
