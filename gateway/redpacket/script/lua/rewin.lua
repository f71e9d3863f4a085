-- The certifier's: writes winners as the ledger knows them.
-- KEYS 4 winners' hash   ARGV who, value, ...
redis.call('HMSET', KEYS[4], unpack(ARGV))
return 'done'
