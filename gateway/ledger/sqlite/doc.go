// Package sqlite is the embedded ledger: one file, `journal_mode=WAL` and
// `synchronous=FULL`, so that what was committed survives a power cut.
//
//	l, err := sqlite.Open(ctx, sqlite.Options{Path: "data/ledger.db"})
//
// # Writing
//
// One goroutine writes. Calls that wait at the same time share a transaction
// and its fsync (group commit): first all of them without savepoints; if one
// fails, the transaction is rolled back and each runs again by itself under a
// savepoint, so that a failing call never takes another one down.
//
//	callers ──▶ queue ──▶ writer: BEGIN, call, call, call, COMMIT ──▶ answers
//
// Several processes may open the same file; the writers then take turns.
//
// # Reading
//
// Readers have connections of their own, each on one snapshot, and are never
// blocked by the writer.
//
// Awards are bound row by row, with as few values as can be; their two postings
// and outbox rows are made from them by INSERT ... SELECT, a stretch of shares
// at a time, which costs half of binding them.
package sqlite
