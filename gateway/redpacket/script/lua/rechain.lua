-- The certifier's last: what the ledger has settled is where the win stream goes on from, and
-- the mark of a loss is taken away. In a script, so that a call that comes late is fenced.
-- KEYS 4 mend   ARGV 1 seq of the last event in the ledger
redis.call('HSET', KEYS[1], 'win', ARGV[1])
redis.call('DEL', KEYS[4])
return 'done'
