-- The certifier's: writes winners as the ledger knows them.
-- KEYS 4.. winners' hashes   ARGV for each of them: how many texts follow, then who, value, ...
local at = 1
for i = 4, #KEYS do
  local last = at + tonumber(ARGV[at])
  redis.call('HMSET', KEYS[i], unpack(ARGV, at + 1, last))
  at = last + 1
end
return 'done'
