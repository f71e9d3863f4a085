// Package statement holds what wallet and payment providers say they did
// against the ledger, to the fen.
//
// A statement is CSV with a header; the columns may come in any order and there
// may be others:
//
//	key,amount,reference
//	rp123.w7,123,W-20270205-1
//
// key is the idempotency key of a pay-out (or the id of a payment), amount is
// in fen; amount_yuan ("1.23") may stand in its place; reference is optional.
// Lines that start with # are skipped; a byte-order mark too.
//
//	report, err := statement.Payouts(ctx, l, statement.Options{From: day, To: day.AddDate(0, 0, 1)}, file, fn)
//
// What does not fit is told one by one, and counted:
//
//	missing       the ledger has it done in the window, the statement has not
//	extra         the statement has it, the ledger knows no such pay-out
//	unposted      the statement has it, in the ledger it is still on its way
//	wrong amount  both have it, with different amounts
//	double        the statement has it twice
//
// A pay-out is recorded after it was called, never before: one called just
// before midnight may be recorded after it. So a record of the first Slack of
// the window that the statement lacks counts as an edge, not as missing (the
// statement before must have it); a line whose record lies after the window is
// found by its key.
//
// Memory: about 100 bytes for each line of the statement.
package statement
