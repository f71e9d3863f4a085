-- Emits the red packet's record if draws changed it since the last one: the trailing end of
-- "at most every 100 ms". Of a spread one that is past its last draw only the quarantine changes.
-- KEYS 4 rp   ARGV 1 id  2 shares left  3 fen left  4 quarantined, of all parts: only for a spread one
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'fix', 'x', 'et', 'ek', 'pt', 'sp', 'el', 'ea', 'eq', 'sd')
if not rp[1] then
  return 'none'
end
if rp[12] then
  local left = ARGV[2]
  local fen = ARGV[3]
  if rp[1] ~= 'o' then
    if not left or not rp[14] or (rp[1] ~= 'x' and rp[1] ~= 'z' and rp[1] ~= 'c') then
      return 'same'
    end
    left = rp[14]
    fen = rp[15]
  end
  if not left then
    return 'spread|' .. rp[13]
  end
  if left == rp[14] and fen == rp[15] and ARGV[4] == rp[16] then
    return 'same'
  end
  if NOW - tonumber(rp[10]) < 100 then
    return 'wait'
  end
  local seed = ''
  if rp[1] == 'c' then
    seed = rp[17]
  end
  local p = payload(rp[1], left, fen, ARGV[4], rp[6], rp[7], seed, rp[8])
  commit({'rp:' .. ARGV[1], '1', rp[9], p})
  redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'el', left, 'ea', fen, 'eq', ARGV[4])
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
