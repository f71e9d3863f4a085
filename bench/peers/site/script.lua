-- The draw of the other peers: what the script of sluice does for an open, public red packet.
-- KEYS meta, log, win, rp, sh, winners   ARGV id, uid
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'vms', 'vctr', 'win')
if meta[1] ~= '1' then
  return redis.error_reply('FENCED')
end
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function T(x) return string.format('%.0f', x) end
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'o', 'c', 'et')
if not rp[1] then
  return 'none'
end
local had = redis.call('HGET', KEYS[6], ARGV[2])
if had then
  return 'already|' .. had
end
if rp[1] == 'c' or NOW >= tonumber(rp[7]) then
  return 'closed'
end
if NOW < tonumber(rp[6]) then
  return 'notopen'
end
local k = tonumber(rp[2])
local n = tonumber(rp[3])
if k >= n then
  return 'soldout'
end
local w = tonumber(rp[4])
local amount = tonumber(redis.call('GETRANGE', KEYS[5], T(k * w), T(k * w + w - 1)))
local share = T(k)
local fen = T(amount)
local vms = tonumber(meta[3])
local vctr = tonumber(meta[4]) + 1
if NOW > vms then
  vms = NOW
  vctr = 0
end
local seq = T(tonumber(meta[2]) + 1)
local id = '1-' .. seq
local wkey = 'w:' .. ARGV[1] .. ':' .. ARGV[2]
local value = share .. ',' .. fen .. ',' .. T(NOW)
local late = k + 1 == n or NOW - tonumber(rp[8]) >= 100
if late then
  redis.call('XADD', KEYS[2], id, 'm', T(vms), 'c', T(vctr), 'k', wkey, 't', '2', 'e', '0', 'v', value, 'k', 'rp:' .. ARGV[1], 't', '1', 'e', '0', 'v', 'open,' .. T(n - k - 1))
else
  redis.call('XADD', KEYS[2], id, 'm', T(vms), 'c', T(vctr), 'k', wkey, 't', '2', 'e', '0', 'v', value)
end
redis.call('XADD', KEYS[3], id, 'p', meta[5], 'i', ARGV[1], 'u', ARGV[2], 's', share, 'a', fen, 't', T(NOW))
redis.call('HMSET', KEYS[1], 'seq', seq, 'vms', T(vms), 'vctr', T(vctr), 'win', seq)
redis.call('HSET', KEYS[6], ARGV[2], value)
if late then
  redis.call('HMSET', KEYS[4], 'k', T(k + 1), 'la', T(tonumber(rp[5]) - amount), 'et', T(NOW))
else
  redis.call('HMSET', KEYS[4], 'k', T(k + 1), 'la', T(tonumber(rp[5]) - amount))
end
return 'won|' .. share .. '|' .. fen
