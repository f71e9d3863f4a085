-- The journal: rows are only added. Triggers below refuse anything else.

CREATE TABLE redpacket (
	k INTEGER PRIMARY KEY, -- the number that every other table knows it by
	id TEXT NOT NULL UNIQUE,
	sender TEXT NOT NULL,
	home INTEGER NOT NULL,
	bucket INTEGER NOT NULL,
	mode TEXT NOT NULL,
	audience TEXT NOT NULL,
	lock TEXT NOT NULL,
	amount INTEGER NOT NULL CHECK (amount > 0),
	count INTEGER NOT NULL,
	min INTEGER NOT NULL,
	max INTEGER NOT NULL,
	opens_at INTEGER NOT NULL,
	closes_at INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	seed BLOB NOT NULL,
	seed_hash BLOB NOT NULL,
	spec BLOB NOT NULL,
	body_hash BLOB NOT NULL
) STRICT;

CREATE TABLE txn (
	id INTEGER PRIMARY KEY,
	at INTEGER NOT NULL,
	op TEXT NOT NULL,
	bucket INTEGER NOT NULL, -- settle: home << 21 | bucket, and the stretch of its win stream
	from_epoch INTEGER NOT NULL,
	from_seq INTEGER NOT NULL,
	to_epoch INTEGER NOT NULL,
	to_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE award (
	k INTEGER NOT NULL,
	share INTEGER NOT NULL,
	bucket INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	uid TEXT NOT NULL,
	n TEXT NOT NULL,
	amount INTEGER NOT NULL CHECK (amount >= 0),
	prize TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (k, share)
) STRICT, WITHOUT ROWID;
-- Serves "once for each (red packet, uid, n)" and "my wins" with one tree.
CREATE UNIQUE INDEX award_user ON award (uid, k, n);

-- account = k * 8 + account of the red packet; entry = index * 16 + kind (account.go).
CREATE TABLE posting (
	account INTEGER NOT NULL,
	entry INTEGER NOT NULL,
	amount INTEGER NOT NULL CHECK (amount <> 0),
	txn INTEGER NOT NULL,
	PRIMARY KEY (account, entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE closed (
	k INTEGER NOT NULL,
	bucket INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	left_fen INTEGER NOT NULL CHECK (left_fen >= 0),
	left_shares INTEGER NOT NULL,
	reason TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (k, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE held (
	k INTEGER NOT NULL,
	share INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	amount INTEGER NOT NULL CHECK (amount >= 0),
	bucket INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	reason TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (k, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE released (
	k INTEGER NOT NULL,
	share INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	who TEXT NOT NULL,
	why TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (k, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE correction (
	k INTEGER NOT NULL,
	number INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	from_account INTEGER NOT NULL,
	to_account INTEGER NOT NULL,
	amount INTEGER NOT NULL CHECK (amount > 0),
	who TEXT NOT NULL,
	why TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (k, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificate (
	id INTEGER PRIMARY KEY,
	bucket INTEGER NOT NULL,
	who TEXT NOT NULL,
	at INTEGER NOT NULL,
	from_epoch INTEGER NOT NULL,
	to_epoch INTEGER NOT NULL,
	pos_epoch INTEGER NOT NULL,
	pos_seq INTEGER NOT NULL,
	posted INTEGER NOT NULL,
	quarantined TEXT NOT NULL, -- JSON
	note TEXT NOT NULL
) STRICT;

CREATE TABLE proof (
	id INTEGER PRIMARY KEY,
	k INTEGER NOT NULL,
	at INTEGER NOT NULL,
	document BLOB NOT NULL
) STRICT;
CREATE INDEX proof_k ON proof (k);

-- States: rows change.

CREATE TABLE running (
	k INTEGER PRIMARY KEY,
	state TEXT NOT NULL,
	payment TEXT NOT NULL,
	funded INTEGER NOT NULL DEFAULT 0,
	awarded INTEGER NOT NULL DEFAULT 0,
	awards INTEGER NOT NULL DEFAULT 0,
	returned INTEGER NOT NULL DEFAULT 0,
	held INTEGER NOT NULL DEFAULT 0,
	refunding INTEGER NOT NULL DEFAULT 0 CHECK (refunding >= 0),
	CHECK (awarded + returned + held <= funded) -- no more out than in
) STRICT;
CREATE INDEX running_state ON running (state, k);

CREATE TABLE bucket (
	id INTEGER PRIMARY KEY, -- home << 21 | bucket
	pos_epoch INTEGER NOT NULL DEFAULT 0,
	pos_seq INTEGER NOT NULL DEFAULT 0,
	epoch INTEGER NOT NULL DEFAULT 0,
	frozen TEXT NOT NULL DEFAULT '' -- JSON of the reason
) STRICT;

CREATE TABLE payment (
	id TEXT PRIMARY KEY,
	k INTEGER NOT NULL,
	num INTEGER NOT NULL, -- which payment of the red packet
	provider TEXT NOT NULL,
	amount INTEGER NOT NULL CHECK (amount > 0),
	state TEXT NOT NULL,
	reference TEXT NOT NULL,
	asked_at INTEGER NOT NULL,
	confirmed_at INTEGER NOT NULL,
	UNIQUE (k, num)
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_asked ON payment (state, asked_at);
CREATE INDEX payment_confirmed ON payment (confirmed_at);

-- New pay-outs; who picks one up moves it to payout.
CREATE TABLE outbox (
	id INTEGER PRIMARY KEY,
	k INTEGER NOT NULL,
	entry INTEGER NOT NULL
) STRICT;

CREATE TABLE payout (
	k INTEGER NOT NULL,
	entry INTEGER NOT NULL,
	state INTEGER NOT NULL, -- ledger.PayState
	tries INTEGER NOT NULL,
	claims INTEGER NOT NULL,
	due INTEGER NOT NULL, -- end of the lease, next try, next sweep; once done: when
	error TEXT NOT NULL DEFAULT '',
	reference TEXT NOT NULL DEFAULT '',
	done_at INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (k, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_due ON payout (state, due);

-- Append-only, also for a hand at the sqlite3 prompt.
CREATE TRIGGER redpacket_no_update BEFORE UPDATE ON redpacket BEGIN SELECT RAISE(ABORT, 'the journal is append-only: redpacket'); END;
CREATE TRIGGER redpacket_no_delete BEFORE DELETE ON redpacket BEGIN SELECT RAISE(ABORT, 'the journal is append-only: redpacket'); END;
CREATE TRIGGER txn_no_update BEFORE UPDATE ON txn BEGIN SELECT RAISE(ABORT, 'the journal is append-only: txn'); END;
CREATE TRIGGER txn_no_delete BEFORE DELETE ON txn BEGIN SELECT RAISE(ABORT, 'the journal is append-only: txn'); END;
CREATE TRIGGER award_no_update BEFORE UPDATE ON award BEGIN SELECT RAISE(ABORT, 'the journal is append-only: award'); END;
CREATE TRIGGER award_no_delete BEFORE DELETE ON award BEGIN SELECT RAISE(ABORT, 'the journal is append-only: award'); END;
CREATE TRIGGER posting_no_update BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'the journal is append-only: posting'); END;
CREATE TRIGGER posting_no_delete BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'the journal is append-only: posting'); END;
CREATE TRIGGER closed_no_update BEFORE UPDATE ON closed BEGIN SELECT RAISE(ABORT, 'the journal is append-only: closed'); END;
CREATE TRIGGER closed_no_delete BEFORE DELETE ON closed BEGIN SELECT RAISE(ABORT, 'the journal is append-only: closed'); END;
CREATE TRIGGER held_no_update BEFORE UPDATE ON held BEGIN SELECT RAISE(ABORT, 'the journal is append-only: held'); END;
CREATE TRIGGER held_no_delete BEFORE DELETE ON held BEGIN SELECT RAISE(ABORT, 'the journal is append-only: held'); END;
CREATE TRIGGER released_no_update BEFORE UPDATE ON released BEGIN SELECT RAISE(ABORT, 'the journal is append-only: released'); END;
CREATE TRIGGER released_no_delete BEFORE DELETE ON released BEGIN SELECT RAISE(ABORT, 'the journal is append-only: released'); END;
CREATE TRIGGER correction_no_update BEFORE UPDATE ON correction BEGIN SELECT RAISE(ABORT, 'the journal is append-only: correction'); END;
CREATE TRIGGER correction_no_delete BEFORE DELETE ON correction BEGIN SELECT RAISE(ABORT, 'the journal is append-only: correction'); END;
CREATE TRIGGER certificate_no_update BEFORE UPDATE ON certificate BEGIN SELECT RAISE(ABORT, 'the journal is append-only: certificate'); END;
CREATE TRIGGER certificate_no_delete BEFORE DELETE ON certificate BEGIN SELECT RAISE(ABORT, 'the journal is append-only: certificate'); END;
CREATE TRIGGER proof_no_update BEFORE UPDATE ON proof BEGIN SELECT RAISE(ABORT, 'the journal is append-only: proof'); END;
CREATE TRIGGER proof_no_delete BEFORE DELETE ON proof BEGIN SELECT RAISE(ABORT, 'the journal is append-only: proof'); END;
