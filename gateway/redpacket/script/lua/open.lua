-- Opens a red packet whose row and seed are in the ledger and whose shares are all here.
-- KEYS 4 rp  5 sh   ARGV 1 id  2 commit  3 seed  4 SHA-1 of the shares, or '' not to check
--      5 shares left  6 fen left  7 quarantined, of all parts: only for part 0 of a spread one
local rp = redis.call('HMGET', KEYS[4], 's', 'n', 'w', 'la', 'q', 'f', 'fix', 'x', 'b', 'pt', 'ot')
if not rp[1] then
  return 'none'
end
if rp[1] ~= 'p' then
  return 'state|' .. rp[1]
end
if redis.call('STRLEN', KEYS[5]) ~= (tonumber(rp[2]) - tonumber(rp[9] or '0')) * tonumber(rp[3]) then
  return 'shares'
end
if ARGV[4] ~= '' and redis.sha1hex(redis.call('GET', KEYS[5])) ~= ARGV[4] then
  return 'shares'
end
local opened = rp[11]
if opened == '0' then
  opened = T(NOW)
end
if rp[10] then
  local more = {'s', 'o', 'ot', opened, 'cm', ARGV[2], 'sd', ARGV[3]}
  if rp[10] ~= '0' then
    commit({})
    redis.call('HMSET', KEYS[4], unpack(more))
    return 'done|o'
  end
  local p = payload('o', ARGV[5], ARGV[6], ARGV[7], rp[6], ARGV[2], '', rp[7])
  commit({'rp:' .. ARGV[1], '1', rp[8], p})
  redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'el', ARGV[5], 'ea', ARGV[6], 'eq', ARGV[7], unpack(more))
  return 'done|o'
end
local p = payload('o', rp[2], rp[4], rp[5], rp[6], ARGV[2], '', rp[7])
commit({'rp:' .. ARGV[1], '1', rp[8], p})
redis.call('HMSET', KEYS[4], 's', 'o', 'ot', opened, 'cm', ARGV[2], 'sd', ARGV[3],
  'ep', p, 'ev', version(), 'et', T(NOW), 'ek', '0')
return 'done|o'
