-- Ranges of shares that went from one part of a spread red packet to another.

CREATE TABLE moved (
	k BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	to_bucket BIGINT NOT NULL,
	first BIGINT NOT NULL CHECK (first >= 0),
	count BIGINT NOT NULL CHECK (count > 0),
	amount BIGINT NOT NULL CHECK (amount >= 0),
	at BIGINT NOT NULL,
	PRIMARY KEY (k, bucket, epoch, seq)
);

CREATE TRIGGER moved_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON moved FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse();
