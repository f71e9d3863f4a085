-- Stores a stretch of the shares while the red packet is being split. The split follows from
-- the seed in the ledger, so writing a stretch twice writes the same.
-- KEYS 4 rp  5 sh   ARGV 1 id  2 offset  3 digits
local s = redis.call('HGET', KEYS[4], 's')
if not s then
  return 'none'
end
if s ~= 'p' then
  return 'state|' .. s
end
if redis.call('STRLEN', KEYS[5]) < tonumber(ARGV[2]) then
  return 'gap|' .. T(redis.call('STRLEN', KEYS[5]))
end
redis.call('SETRANGE', KEYS[5], ARGV[2], ARGV[3])
return 'done'
