-- Ends a red packet. From here on nobody draws; what is left is told to the ledger, once.
-- KEYS 4 rp   ARGV 1 id  2 reason: time, command  3 sender's uid, or '' for ops and time
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'sd', 'fix', 'x', 'c', 'own')
if not rp[1] then
  return 'none'
end
if ARGV[3] ~= '' and rp[12] ~= ARGV[3] then
  return 'sender'
end
if rp[1] == 'c' then
  return 'again|c|' .. WIN
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
