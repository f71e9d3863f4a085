-- Counts a wrong password of a user.
-- KEYS 4 rp  5 tries   ARGV 1 uid  2 tries allowed
local rp = redis.call('HMGET', KEYS[4], 's', 'c')
if not rp[1] then
  return 'none'
end
local had = tonumber(redis.call('HGET', KEYS[5], ARGV[1]) or '0')
local allowed = tonumber(ARGV[2])
if had >= allowed then
  return 'denied|tries|0|' .. T(NOW)
end
redis.call('HSET', KEYS[5], ARGV[1], T(had + 1))
return 'denied|password|' .. T(allowed - had - 1) .. '|' .. T(NOW)
