-- Gives a dry part a range that another part gave and the ledger knows of, once.
-- KEYS 4 part  5 sh  6 moves taken   ARGV 1 id  2 giving part:move  3 first share  4 behind the last  5 fen  6 digits
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'mv', 'b', 'xl', 'xr')
if not rp[7] then
  return 'none'
end
if redis.call('SISMEMBER', KEYS[6], ARGV[2]) == 1 then
  return 'again'
end
if rp[1] ~= 'o' and rp[1] ~= 'z' then
  return 'state|' .. rp[1]
end
if rp[1] == 'o' and tonumber(rp[2]) < tonumber(rp[3]) then
  return 'full'
end
local count = tonumber(ARGV[4]) - tonumber(ARGV[3])
if #ARGV[6] ~= count * tonumber(rp[4]) then
  return redis.error_reply('BROKEN range ' .. ARGV[3] .. ' of ' .. ARGV[1])
end
local la = T(tonumber(rp[5]) + tonumber(ARGV[5]))
local mv = T(tonumber(rp[6]) + 1)
commit({})
redis.call('SADD', KEYS[6], ARGV[2])
if rp[1] == 'z' then
  redis.call('HMSET', KEYS[4], 'la', la, 'mv', mv, 'xl', T(tonumber(rp[8] or '0') + count), 'xr', (rp[9] or '') .. ARGV[3] .. '-' .. ARGV[4] .. ',')
  return 'done'
end
redis.call('SET', KEYS[5], ARGV[6])
redis.call('HMSET', KEYS[4], 'k', ARGV[3], 'n', ARGV[4], 'b', ARGV[3], 'la', la, 'mv', mv)
return 'done'
