-- The certifier's: writes fields of a red packet's hash as the ledger knows them.
-- KEYS 4 rp  5 fund stream  6.. what is forgotten first   ARGV 1 id  2 what else: 'quiet', 'emit' its record, 'queue' it for
-- payment and split too   3.. field, value, ...
for i = 6, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
redis.call('HMSET', KEYS[4], unpack(ARGV, 3))
if ARGV[2] == 'quiet' then
  return 'done'
end
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'sd', 'fix', 'x')
local seed = ''
if rp[1] == 'c' then
  seed = rp[8]
end
local p = payload(rp[1], T(tonumber(rp[3]) - tonumber(rp[2])), rp[4], rp[5], rp[6], rp[7], seed, rp[9])
local seq = commit({'rp:' .. ARGV[1], '1', rp[10], p})
redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
if ARGV[2] == 'queue' then
  redis.call('XADD', KEYS[5], EPOCH .. '-' .. seq, 'i', ARGV[1])
end
return 'done'
