-- Forgets the note of a range that the other part has.
-- KEYS 4 part  5 notes   ARGV 1 id  2 move
local note = redis.call('HGET', KEYS[5], ARGV[2])
if not note then
  return 'again'
end
local to = 't' .. string.match(note, '^%d+')
local first = tonumber(string.match(note, '^%d+|(%d+)'))
local behind = tonumber(string.match(note, '^%d+|%d+|(%d+)'))
local fen = tonumber(string.match(note, '(%d+)$'))
local rp = redis.call('HMGET', KEYS[4], 'nt', 'nl', 'nf', to)
redis.call('HDEL', KEYS[5], ARGV[2], 'd' .. ARGV[2])
redis.call('HMSET', KEYS[4], 'nt', T(tonumber(rp[1]) - 1), 'nl', T(tonumber(rp[2]) - behind + first), 'nf', T(tonumber(rp[3]) - fen))
if rp[4] == ARGV[2] then
  redis.call('HSET', KEYS[4], to, '')
end
return 'done'
