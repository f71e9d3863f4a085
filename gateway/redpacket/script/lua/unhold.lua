-- Tells Redis what the ledger has released from quarantine: first each winner, then the sums.
-- KEYS 4 rp or part  5 winners' hash, with a winner
-- ARGV 1 id  2 shares released so far  3 shares still held  4 their fen
--      5.. with a winner: who, entry of the hash, record key or '', its payload
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'f', 'cm', 'sd', 'fix', 'x', 'rl', 'pt')
if not rp[1] then
  return 'none'
end
if ARGV[5] then
  if redis.call('HGET', KEYS[5], ARGV[5]) then
    return 'again'
  end
  if ARGV[7] ~= '' then
    commit({ARGV[7], '2', rp[9], ARGV[8]})
  end
  redis.call('HSET', KEYS[5], ARGV[5], ARGV[6])
  return 'done'
end
if tonumber(ARGV[2]) <= tonumber(rp[10] or '0') then
  return 'again'
end
-- A part only counts: what all parts hold is told in the record by tick.lua.
if rp[11] then
  commit({})
  redis.call('HMSET', KEYS[4], 'q', ARGV[3], 'qa', ARGV[4], 'rl', ARGV[2])
  return 'done'
end
local s = rp[1]
if s == 'o' and ARGV[3] == '0' and rp[2] == rp[3] then
  s = 'x'
end
local seed = ''
if s == 'c' then
  seed = rp[7]
end
local p = payload(s, T(tonumber(rp[3]) - tonumber(rp[2])), rp[4], ARGV[3], rp[5], rp[6], seed, rp[8])
commit({'rp:' .. ARGV[1], '1', rp[9], p})
redis.call('HMSET', KEYS[4], 's', s, 'q', ARGV[3], 'qa', ARGV[4], 'rl', ARGV[2],
  'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
return 'done'
