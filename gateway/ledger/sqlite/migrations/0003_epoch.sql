-- The last epoch that a home's certifier took. Redis cannot count them: one that was emptied or put
-- back would give a number again.

CREATE TABLE epoch (
	home INTEGER PRIMARY KEY,
	last INTEGER NOT NULL CHECK (last > 0)
) STRICT;
