// Package ledger is the durable record of money: what was funded, who won
// which share, what was paid out, what went back to the sender.
//
// # The picture
//
//	payment ──fund──▶ red packet ──win──▶ payable ──pay out──▶ paid
//	                     │  ▲
//	                     │  └──────────── release
//	                     ├──certify──▶ quarantine ──release──▶ payable | refunding
//	                     └──close────▶ refunding ──pay out──▶ refunded
//
// Every arrow is one entry of two postings, minus on the account it leaves
// and plus on the account it reaches, in integer fen (1/100 yuan). Each red
// packet has its own row of these accounts (see [Account]); their balances
// always add up to zero, and
//
//	funded = paid + payable + refunding + refunded + quarantined + balance
//
// where balance is what Redis still holds as left or not yet settled. The
// subsidiary record that says WHO is the award (one row for each win).
//
// Journal rows (transactions, postings, awards, closes, certificates) are
// only ever added. What changes (state of a red packet, position and epoch of
// a bucket, state of a pay-out) lives in tables of its own. A mistake is put
// right by [Store.Correct], which adds rows.
//
// # Exactly once in effect
//
// Settle posts batches of a bucket's win stream and advances the bucket's
// position in the same transaction. A batch seen before is compared with what
// is stored and skipped. Other content under a known (epoch, seq), a share
// won twice, a (red packet, uid, n) won twice, more money out than came in:
// the bucket is frozen, durably, and stays so until it is certified.
//
// # Stores
//
// ledger/sqlite (embedded), ledger/postgres (production) and ledger/memory
// (simulator and tests) behave alike: ledger/ledgertest is the one suite that
// all three pass. All methods may be called from any number of goroutines; a
// callback of an Each method must not write to the same store.
//
// # Backup and restore
//
// The ledger is the only truth of money that has no copy elsewhere, so it is
// backed up continuously: PostgreSQL by streaming replication or WAL archiving
// (point-in-time recovery), SQLite by `sqlite3 ledger.db ".backup copy.db"`,
// which may run beside the writer; never by copying the file alone, for the
// newest commits are in ledger.db-wal. After a restore to the last commit,
// Audit proves the journal and settle goes on.
//
// A ledger that is put back to an OLDER state has forgotten wins, and the win
// streams do not bring them back: they are trimmed behind the ledger's
// position. What still stands in a stream is posted, once. Where events are
// missing in between, nothing is posted over the gap: the bucket is frozen,
// until somebody certifies it as restored, which quarantines every share that
// this ledger knows no winner of. Who won them stands in the bucket's winners'
// hashes, and docs/restore.md says how they are released. Red packets funded
// after the backup, and payments of that time, are not in it at all: they
// come from the payment provider's statement. What a pay-out provider was told
// after the backup is called again with the same key, which it answers as
// before. So let nothing but the last commit be your plan.
//
// Upgrades: start the new program; Open brings the schema up to date under a
// lock, and an older program refuses a newer schema.
//
// Time is milliseconds since 1970, in UTC; what is finer is cut off.
package ledger
