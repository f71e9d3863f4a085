// Package sqlstore is what the SQL ledgers share: every statement that both
// databases understand. SQLite and PostgreSQL bring a Dialect: how a
// transaction runs, how lists are passed, how rows are locked, and the two hot
// paths (posting wins, streaming awards), each written for its database.
//
// Statements are written with $1, $2, ...; numbers are 64-bit integers, times
// are milliseconds since 1970 with 0 for none, and no column is NULL. Tables
// and columns are named alike in both schemas: see sqlite/migrations and
// postgres/migrations.
//
//	redpacket, txn, award, posting, closed, moved, held, released,
//	correction, certificate, proof                          journal: rows are only added
//	running, bucket, payment, outbox, payout                states: rows change
package sqlstore
