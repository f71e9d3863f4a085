-- Forgets a red packet that is closed, reconciled and old: the ledger answers from now on.
-- KEYS 4 rp  5.. all other keys of it   ARGV 1 id  2 how long it must be closed, ms
local rp = redis.call('HMGET', KEYS[4], 's', 'ct', 'pt')
if not rp[1] then
  return 'none'
end
if rp[1] ~= 'c' and rp[1] ~= 'e' then
  return 'state|' .. rp[1]
end
if NOW - tonumber(rp[2] or '0') < tonumber(ARGV[2]) then
  return 'early|' .. (rp[2] or '0')
end
if rp[3] and rp[3] ~= '0' then
  commit({})
else
  commit({'rp:' .. ARGV[1], '1', '0', false})
end
for i = 5, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
redis.call('UNLINK', KEYS[4])
return 'done'
