-- Reads a red packet and its unsettled events at one moment; writes nothing.
-- KEYS 4 rp  5 notes  6 moves taken (5 and 6 only of a spread one)   ARGV 1 id  2 last settled id of the win stream
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'qa', 'xr')
local out = {rp[1] or '', rp[2] or '', rp[3] or '', rp[4] or '', rp[5] or '', rp[6] or '', meta[2] or '0', WIN}
local found = {}
local events = redis.call('XRANGE', KEYS[3], '(' .. ARGV[2], '+')
local first = ''
for i = 1, #events do
  local f = events[i][2]
  if i == 1 then
    first = f[2]
  end
  for j = 3, #f, 2 do
    if f[j] == 'i' and f[j + 1] == ARGV[1] then
      found[#found + 1] = events[i]
    end
  end
end
out[9] = first
out[10] = found
if KEYS[6] then
  local notes = {}
  local all = redis.call('HGETALL', KEYS[5])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) ~= 'd' then
      notes[#notes + 1] = all[i] .. '|' .. all[i + 1]
    end
  end
  out[11] = rp[7] or ''
  out[12] = notes
  out[13] = redis.call('SMEMBERS', KEYS[6])
end
return out
