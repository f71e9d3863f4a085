-- Forgets a red packet that is closed, reconciled and old: the ledger answers from now on. It may have
-- many keys: its hash goes with the first of them, and until the last have gone a note stands there.
-- KEYS 4 rp  5 note  6.. other keys of it   ARGV 1 id  2 how long it must be closed, ms  3 '1': more keys follow
local rp = redis.call('HMGET', KEYS[4], 's', 'ct', 'pt')
if rp[1] then
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
  redis.call('UNLINK', KEYS[4])
  redis.call('SET', KEYS[5], '1')
elseif redis.call('EXISTS', KEYS[5]) == 0 then
  return 'none'
end
for i = 6, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
if ARGV[3] ~= '1' then
  redis.call('UNLINK', KEYS[5])
end
return 'done'
