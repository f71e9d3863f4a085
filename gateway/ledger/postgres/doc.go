// Package postgres is the ledger for production, on PostgreSQL 13 and later.
//
//	l, err := postgres.Open(ctx, postgres.Options{URL: "postgres://sluice@db/ledger"})
//
// Any number of processes may use one database. What keeps them apart are row
// locks, taken in one order by all: buckets by number, then red packets by
// number, last and only from there to the commit. Two settlers of one bucket
// take turns; settlers of different buckets run side by side, even on one hot
// red packet.
//
//	settle: buckets FOR UPDATE ▶ plan ▶ one statement for awards, postings and
//	        outbox ▶ positions ▶ running totals ▶ COMMIT
//
// Awards go in as arrays: one statement (unnest, then an INSERT for each
// table) and one round trip, whatever their number.
//
// The schema (migrations/, versioned in ledger_migration) is brought up to date
// by Open under an advisory lock, so that processes may start together. Journal
// tables refuse UPDATE, DELETE and TRUNCATE by triggers; a trigger also refuses
// any statement whose postings do not sum to zero.
//
// Commits wait for the disk: where the server says synchronous_commit = off,
// the ledger's connections turn it on.
package postgres
