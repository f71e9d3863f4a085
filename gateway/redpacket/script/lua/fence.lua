-- Ends the draws from one part of a spread red packet: 'z' before all parts are closed, 'x' when
-- no part has anything left.
-- KEYS 4 part   ARGV 1 id  2 z or x  3 reason: time, command  4 sender's uid, or '' for ops and time
--      5 shares left  6 fen left  7 quarantined, of all parts: they stand in the record, which part 0 emits
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'nt', 'q', 'f', 'cm', 'fix', 'x', 'c', 'own', 'pt')
if not rp[12] then
  return 'none'
end
if ARGV[4] ~= '' and rp[11] ~= ARGV[4] then
  return 'sender'
end
if rp[1] == 'c' or rp[1] == 'z' or rp[1] == ARGV[2] then
  return 'again|' .. rp[1]
end
if rp[1] ~= 'o' and rp[1] ~= 'x' then
  return 'state|' .. rp[1]
end
if ARGV[2] == 'x' and (tonumber(rp[2]) < tonumber(rp[3]) or rp[4] ~= '0' or rp[5] ~= '0') then
  return 'state|o'
end
if ARGV[2] == 'z' and ARGV[3] == 'time' and NOW < tonumber(rp[10]) then
  return 'early|' .. rp[10]
end
if rp[12] ~= '0' then
  commit({})
  redis.call('HSET', KEYS[4], 's', ARGV[2])
  return 'done|' .. ARGV[2]
end
local p = payload(ARGV[2], ARGV[5], ARGV[6], ARGV[7], rp[6], rp[7], '', rp[8])
commit({'rp:' .. ARGV[1], '1', rp[9], p})
redis.call('HMSET', KEYS[4], 's', ARGV[2], 'ep', p, 'ev', version(), 'et', T(NOW), 'el', ARGV[5], 'ea', ARGV[6], 'eq', ARGV[7])
return 'done|' .. ARGV[2]
