-- Ranges of shares that went from one part of a spread red packet to another.

CREATE TABLE moved (
	k INTEGER NOT NULL,
	bucket INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	txn INTEGER NOT NULL,
	to_bucket INTEGER NOT NULL,
	first INTEGER NOT NULL CHECK (first >= 0),
	count INTEGER NOT NULL CHECK (count > 0),
	amount INTEGER NOT NULL CHECK (amount >= 0),
	at INTEGER NOT NULL,
	PRIMARY KEY (k, bucket, epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER moved_no_update BEFORE UPDATE ON moved BEGIN SELECT RAISE(ABORT, 'the journal is append-only: moved'); END;
CREATE TRIGGER moved_no_delete BEFORE DELETE ON moved BEGIN SELECT RAISE(ABORT, 'the journal is append-only: moved'); END;
