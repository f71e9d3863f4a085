-- The certifier's: what the ledger has settled is where the win stream goes on from.
-- ARGV 1 seq of the last event in the ledger
if tonumber(WIN) >= tonumber(ARGV[1]) then
  return 'same'
end
redis.call('HSET', KEYS[1], 'win', ARGV[1])
return 'done'
