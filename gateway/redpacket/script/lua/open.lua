-- Opens a red packet whose row and seed are in the ledger and whose shares are all here.
-- KEYS 4 rp  5 sh   ARGV 1 id  2 commit  3 seed  4 SHA-1 of the shares, or '' not to check
local rp = redis.call('HMGET', KEYS[4], 's', 'n', 'w', 'la', 'q', 'f', 'fix', 'x')
if not rp[1] then
  return 'none'
end
if rp[1] ~= 'p' then
  return 'state|' .. rp[1]
end
if redis.call('STRLEN', KEYS[5]) ~= tonumber(rp[2]) * tonumber(rp[3]) then
  return 'shares'
end
if ARGV[4] ~= '' and redis.sha1hex(redis.call('GET', KEYS[5])) ~= ARGV[4] then
  return 'shares'
end
local p = payload('o', rp[2], rp[4], rp[5], rp[6], ARGV[2], '', rp[7])
commit({'rp:' .. ARGV[1], '1', rp[8], p})
redis.call('HMSET', KEYS[4], 's', 'o', 'ot', T(NOW), 'cm', ARGV[2], 'sd', ARGV[3],
  'ep', p, 'ev', version(), 'et', T(NOW), 'ek', '0')
return 'done|o'
