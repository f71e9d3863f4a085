-- The journal: rows are only added. Triggers below refuse anything else.

CREATE TABLE redpacket (
	k BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the number that every other table knows it by
	id TEXT NOT NULL UNIQUE,
	sender TEXT NOT NULL,
	home BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	mode TEXT NOT NULL,
	audience TEXT NOT NULL,
	lock TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	count BIGINT NOT NULL,
	min BIGINT NOT NULL,
	max BIGINT NOT NULL,
	opens_at BIGINT NOT NULL,
	closes_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	seed BYTEA NOT NULL,
	seed_hash BYTEA NOT NULL,
	spec BYTEA NOT NULL,
	body_hash BYTEA NOT NULL
);

CREATE SEQUENCE txn_id;
CREATE TABLE txn (
	id BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	op TEXT NOT NULL,
	bucket BIGINT NOT NULL, -- settle: home << 21 | bucket, and the stretch of its win stream
	from_epoch BIGINT NOT NULL,
	from_seq BIGINT NOT NULL,
	to_epoch BIGINT NOT NULL,
	to_seq BIGINT NOT NULL
);

CREATE TABLE award (
	k BIGINT NOT NULL,
	share BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	uid TEXT NOT NULL,
	n TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount >= 0),
	prize TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (k, share)
);
-- Serves "once for each (red packet, uid, n)" and "my wins" with one tree.
CREATE UNIQUE INDEX award_user ON award (uid, k, n);

-- account = k * 8 + account of the red packet; entry = index * 16 + kind (account.go).
CREATE TABLE posting (
	account BIGINT NOT NULL,
	entry BIGINT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount <> 0),
	txn BIGINT NOT NULL,
	PRIMARY KEY (account, entry)
);

CREATE TABLE closed (
	k BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	left_fen BIGINT NOT NULL CHECK (left_fen >= 0),
	left_shares BIGINT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (k, bucket)
);

CREATE TABLE held (
	k BIGINT NOT NULL,
	share BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount >= 0),
	bucket BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	reason TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (k, share)
);

CREATE TABLE released (
	k BIGINT NOT NULL,
	share BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	outcome TEXT NOT NULL,
	who TEXT NOT NULL,
	why TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (k, share)
);

CREATE TABLE correction (
	k BIGINT NOT NULL,
	number BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	from_account BIGINT NOT NULL,
	to_account BIGINT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	who TEXT NOT NULL,
	why TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (k, number)
);

CREATE TABLE certificate (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	bucket BIGINT NOT NULL,
	who TEXT NOT NULL,
	at BIGINT NOT NULL,
	from_epoch BIGINT NOT NULL,
	to_epoch BIGINT NOT NULL,
	pos_epoch BIGINT NOT NULL,
	pos_seq BIGINT NOT NULL,
	posted BIGINT NOT NULL,
	quarantined TEXT NOT NULL, -- JSON
	note TEXT NOT NULL
);

CREATE TABLE proof (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	k BIGINT NOT NULL,
	at BIGINT NOT NULL,
	document BYTEA NOT NULL
);
CREATE INDEX proof_k ON proof (k);

-- States: rows change.

CREATE TABLE running (
	k BIGINT PRIMARY KEY,
	state TEXT NOT NULL,
	payment TEXT NOT NULL,
	funded BIGINT NOT NULL DEFAULT 0,
	awarded BIGINT NOT NULL DEFAULT 0,
	awards BIGINT NOT NULL DEFAULT 0,
	returned BIGINT NOT NULL DEFAULT 0,
	held BIGINT NOT NULL DEFAULT 0,
	refunding BIGINT NOT NULL DEFAULT 0 CHECK (refunding >= 0),
	CHECK (awarded + returned + held <= funded) -- no more out than in
);
CREATE INDEX running_state ON running (state, k);

CREATE TABLE bucket (
	id BIGINT PRIMARY KEY, -- home << 21 | bucket
	pos_epoch BIGINT NOT NULL DEFAULT 0,
	pos_seq BIGINT NOT NULL DEFAULT 0,
	epoch BIGINT NOT NULL DEFAULT 0,
	frozen TEXT NOT NULL DEFAULT '' -- JSON of the reason
);

CREATE TABLE payment (
	id TEXT PRIMARY KEY,
	k BIGINT NOT NULL,
	num BIGINT NOT NULL, -- which payment of the red packet
	provider TEXT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount > 0),
	state TEXT NOT NULL,
	reference TEXT NOT NULL,
	asked_at BIGINT NOT NULL,
	confirmed_at BIGINT NOT NULL,
	UNIQUE (k, num)
);
CREATE INDEX payment_asked ON payment (state, asked_at);
CREATE INDEX payment_confirmed ON payment (confirmed_at);

-- New pay-outs; who picks one up moves it to payout.
CREATE TABLE outbox (
	id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	k BIGINT NOT NULL,
	entry BIGINT NOT NULL
);

CREATE TABLE payout (
	k BIGINT NOT NULL,
	entry BIGINT NOT NULL,
	state BIGINT NOT NULL, -- ledger.PayState
	tries BIGINT NOT NULL,
	claims BIGINT NOT NULL,
	due BIGINT NOT NULL, -- end of the lease, next try, next sweep; once done: when
	error TEXT NOT NULL DEFAULT '',
	reference TEXT NOT NULL DEFAULT '',
	done_at BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (k, entry)
);
CREATE INDEX payout_due ON payout (state, due);

-- Append-only, also for a hand at the psql prompt.

CREATE FUNCTION journal_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the journal is append-only: %', TG_TABLE_NAME;
END $$;

CREATE TRIGGER redpacket_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON redpacket FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER txn_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON txn FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER award_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON award FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER posting_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON posting FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER closed_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON closed FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER held_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON held FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER released_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON released FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER correction_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON correction FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER certificate_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON certificate FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
CREATE TRIGGER proof_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON proof FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();

-- Every statement that posts must sum to zero. Once for a statement, not for a row: cheap.

CREATE FUNCTION posting_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT sum(amount) FROM added) <> 0 THEN
		RAISE EXCEPTION 'postings do not sum to zero';
	END IF;
	RETURN NULL;
END $$;

CREATE TRIGGER posting_balanced AFTER INSERT ON posting REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION posting_balanced();
