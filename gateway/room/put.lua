-- Stores a room if it still has the version it was read with.
-- KEYS: meta, log, room.  ARGV: document, version as read ("" for none), record key, record type.
local held = redis.call('HMGET', KEYS[3], 'e', 'm', 'c')
local before = ''
if held[1] then
  before = held[1] .. ' ' .. held[2] .. ' ' .. held[3]
end
if before ~= ARGV[2] then
  return 0
end
commit({ARGV[3], ARGV[4], '0', ARGV[1]})
redis.call('HMSET', KEYS[3], 'doc', ARGV[1], 'e', meta[1], 'm', string.format('%.0f', vms), 'c', string.format('%.0f', vctr))
return 1
