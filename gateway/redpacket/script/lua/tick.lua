-- Emits the red packet's record if draws changed it since the last one: the trailing end of
-- "at most every 100 ms".
-- KEYS 4 rp   ARGV 1 id  2 shares left  3 fen left  4 quarantined, of all parts: only for a spread one
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'fix', 'x', 'et', 'ek', 'pt', 'sp', 'el', 'ea', 'eq')
if not rp[1] then
  return 'none'
end
if rp[12] then
  if rp[1] ~= 'o' then
    return 'same'
  end
  if not ARGV[2] then
    return 'spread|' .. rp[13]
  end
  if ARGV[2] == rp[14] and ARGV[3] == rp[15] and ARGV[4] == rp[16] then
    return 'same'
  end
  if NOW - tonumber(rp[10]) < 100 then
    return 'wait'
  end
  local p = payload('o', ARGV[2], ARGV[3], ARGV[4], rp[6], rp[7], '', rp[8])
  commit({'rp:' .. ARGV[1], '1', rp[9], p})
  redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'el', ARGV[2], 'ea', ARGV[3], 'eq', ARGV[4])
  return 'done'
end
if rp[2] == rp[11] or (rp[1] ~= 'o' and rp[1] ~= 'x') then
  return 'same'
end
if NOW - tonumber(rp[10]) < 100 then
  return 'wait'
end
local p = payload(rp[1], T(tonumber(rp[3]) - tonumber(rp[2])), rp[4], rp[5], rp[6], rp[7], '', rp[8])
commit({'rp:' .. ARGV[1], '1', rp[9], p})
redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
return 'done'
