-- A portal of coupons holds no money; everything else does. SQLite changes no check of a table
-- that is there: the rows move to a new one.

CREATE TABLE redpacket_0004 (
	k INTEGER PRIMARY KEY, -- the number that every other table knows it by
	id TEXT NOT NULL UNIQUE,
	sender TEXT NOT NULL,
	home INTEGER NOT NULL,
	bucket INTEGER NOT NULL,
	mode TEXT NOT NULL,
	audience TEXT NOT NULL,
	lock TEXT NOT NULL,
	amount INTEGER NOT NULL CHECK (amount > 0 OR (amount = 0 AND mode = 'portal')),
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
INSERT INTO redpacket_0004 SELECT * FROM redpacket;
DROP TABLE redpacket;
ALTER TABLE redpacket_0004 RENAME TO redpacket;

CREATE TRIGGER redpacket_no_update BEFORE UPDATE ON redpacket BEGIN SELECT RAISE(ABORT, 'the journal is append-only: redpacket'); END;
CREATE TRIGGER redpacket_no_delete BEFORE DELETE ON redpacket BEGIN SELECT RAISE(ABORT, 'the journal is append-only: redpacket'); END;
