-- The certifier's: writes fields of a red packet's hash as the ledger knows them, and its
-- record. KEYS 4 rp   ARGV 1 id  2 emit 0/1  3.. field, value, ...
redis.call('HMSET', KEYS[4], unpack(ARGV, 3))
if ARGV[2] ~= '1' then
  return 'done'
end
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'sd', 'fix', 'x')
local seed = ''
if rp[1] == 'c' then
  seed = rp[8]
end
local p = payload(rp[1], T(tonumber(rp[3]) - tonumber(rp[2])), rp[4], rp[5], rp[6], rp[7], seed, rp[9])
commit({'rp:' .. ARGV[1], '1', rp[10], p})
redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
return 'done'
