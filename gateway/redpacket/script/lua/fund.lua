-- Stores a fund request and queues it for payment and split.
-- KEYS 4 rp  5 fund stream  6 list set  7 prize table
-- ARGV 1 id  2 hash of the request  3 count  4 amount  5 closes ms  6 expiry s  7 fix
--      8 how many texts of the hash follow, then that many fields and values
--      then how many texts of the prize table, then those; then the uids of the list
local old = redis.call('HMGET', KEYS[4], 'h', 's')
if old[1] then
  if old[1] ~= ARGV[2] then
    return 'conflict'
  end
  return 'again|' .. old[2]
end
if tonumber(ARGV[5]) <= NOW then
  return 'past'
end
local p = payload('p', ARGV[3], ARGV[4], '0', '0', '', '', ARGV[7])
local seq = commit({'rp:' .. ARGV[1], '1', ARGV[6], p})
local from = 9
local to = 8 + tonumber(ARGV[8])
redis.call('HMSET', KEYS[4], unpack(ARGV, from, to))
redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW))
from = to + 2
to = to + 1 + tonumber(ARGV[to + 1])
for i = from, to, 1000 do
  local last = i + 999
  if last > to then
    last = to
  end
  redis.call('HMSET', KEYS[7], unpack(ARGV, i, last))
end
for i = to + 1, #ARGV, 1000 do
  local last = i + 999
  if last > #ARGV then
    last = #ARGV
  end
  redis.call('SADD', KEYS[6], unpack(ARGV, i, last))
end
redis.call('XADD', KEYS[5], EPOCH .. '-' .. seq, 'i', ARGV[1])
return 'new|p'
