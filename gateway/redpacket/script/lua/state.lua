-- Moves a red packet that is not open yet between unpaid, splitting and expired.
-- KEYS 4 rp   ARGV 1 id  2 from, one or more letters  3 to
local rp = redis.call('HMGET', KEYS[4], 's', 'n', 'la', 'q', 'f', 'cm', 'fix', 'x')
if not rp[1] then
  return 'none'
end
if rp[1] == ARGV[3] then
  return 'again|' .. rp[1]
end
if not string.find(ARGV[2], rp[1], 1, true) then
  return 'state|' .. rp[1]
end
local p = payload(ARGV[3], rp[2], rp[3], rp[4], rp[5], rp[6], '', rp[7])
commit({'rp:' .. ARGV[1], '1', rp[8], p})
redis.call('HMSET', KEYS[4], 's', ARGV[3], 'ep', p, 'ev', version(), 'et', T(NOW))
return 'done|' .. ARGV[3]
