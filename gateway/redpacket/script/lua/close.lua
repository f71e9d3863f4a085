-- Ends a red packet. From here on nobody draws; what is left is told to the ledger, once.
-- Of a spread one it ends one part, which was fenced (see fence.lua) and has no note left.
-- KEYS 4 rp   ARGV 1 id  2 reason: time, command  3 sender's uid, or '' for ops and time
--      4 shares left  5 fen left  6 quarantined, of all parts: only for a part of a spread one
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'sd', 'fix', 'x', 'c', 'own', 'pt', 'sp', 'nt', 'xl')
if not rp[1] then
  return 'none'
end
if ARGV[3] ~= '' and rp[12] ~= ARGV[3] then
  return 'sender'
end
if rp[1] == 'c' then
  return 'again|c|' .. WIN
end
if rp[13] then
  if rp[1] ~= 'z' or not ARGV[4] then
    if rp[1] == 'o' or rp[1] == 'x' or rp[1] == 'z' then
      return 'spread|' .. rp[14]
    end
    return 'state|' .. rp[1]
  end
  if rp[15] ~= '0' then
    return 'state|z'
  end
  local left = T(tonumber(rp[3]) - tonumber(rp[2]) + tonumber(rp[16] or '0'))
  local event = {'e', 'close', 'i', ARGV[1], 'l', left, 'a', rp[4], 't', T(NOW), 'r', ARGV[2]}
  if rp[13] ~= '0' then
    local seq = commit({}, event)
    redis.call('HMSET', KEYS[4], 's', 'c', 'ct', T(NOW), 'cs', seq)
    return 'done|c'
  end
  local p = payload('c', ARGV[4], ARGV[5], ARGV[6], rp[6], rp[7], rp[8], rp[9])
  local seq = commit({'rp:' .. ARGV[1], '1', rp[10], p}, event)
  redis.call('HMSET', KEYS[4], 's', 'c', 'ct', T(NOW), 'cs', seq, 'ep', p, 'ev', version(), 'et', T(NOW), 'el', ARGV[4], 'ea', ARGV[5], 'eq', ARGV[6])
  return 'done|c'
end
if rp[1] ~= 'o' and rp[1] ~= 'x' then
  return 'state|' .. rp[1]
end
if ARGV[2] == 'time' and NOW < tonumber(rp[11]) then
  return 'early|' .. rp[11]
end
local left = T(tonumber(rp[3]) - tonumber(rp[2]))
local p = payload('c', left, rp[4], rp[5], rp[6], rp[7], rp[8], rp[9])
local seq = commit({'rp:' .. ARGV[1], '1', rp[10], p}, {'e', 'close', 'i', ARGV[1], 'l', left, 'a', rp[4], 't', T(NOW), 'r', ARGV[2]})
redis.call('HMSET', KEYS[4], 's', 'c', 'ct', T(NOW), 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
return 'done|c|' .. seq
