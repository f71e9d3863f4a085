-- Takes the upper half of a part's range away for another part that is dry. The event tells the
-- ledger, the note keeps the range until the other part has it: the ledger comes first.
-- KEYS 4 part  5 sh  6 notes   ARGV 1 id  2 the part that is dry  3 its bucket  4 most shares
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'b', 'nt', 'nl', 'nf', 'mv', 't' .. ARGV[2])
if not rp[1] then
  return 'none'
end
if rp[11] and rp[11] ~= '' then
  return 'again|' .. rp[11]
end
if rp[1] ~= 'o' or not rp[6] then
  return 'state|' .. rp[1]
end
local n = tonumber(rp[3])
local w = tonumber(rp[4])
local count = math.floor((n - tonumber(rp[2]) + 1) / 2)
if count > tonumber(ARGV[4]) then
  count = tonumber(ARGV[4])
end
if count < 1 then
  return 'dry'
end
local first = n - count
local at = (first - tonumber(rp[6])) * w
local digits = redis.call('GETRANGE', KEYS[5], T(at), T(at + count * w - 1))
local fen = 0
for i = 1, #digits, w do
  fen = fen + (tonumber(string.sub(digits, i, i + w - 1)) or 0)
end
if #digits ~= count * w or fen > tonumber(rp[5]) then
  return redis.error_reply('BROKEN range ' .. T(first) .. ' of ' .. ARGV[1])
end
local seq = commit({}, {'e', 'give', 'i', ARGV[1], 'b', ARGV[3], 'f', T(first), 'l', T(count), 'a', T(fen), 't', T(NOW)})
local move = EPOCH .. '-' .. seq
redis.call('HMSET', KEYS[6], move, ARGV[2] .. '|' .. T(first) .. '|' .. T(n) .. '|' .. T(fen), 'd' .. move, digits)
redis.call('HMSET', KEYS[4], 'n', T(first), 'la', T(tonumber(rp[5]) - fen), 'nt', T(tonumber(rp[7]) + 1),
  'nl', T(tonumber(rp[8]) + count), 'nf', T(tonumber(rp[9]) + fen), 'mv', T(tonumber(rp[10]) + 1), 't' .. ARGV[2], move)
return 'done|' .. move
