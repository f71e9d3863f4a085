-- Sets the chances of a portal's prizes: ops may change them at any time. Amounts and budgets are
-- money and stay as they were funded.
-- KEYS 4 rp  5 prize table   ARGV 1 version, above the last one  2.. name, chance in millionths, ...
local rp = redis.call('HMGET', KEYS[4], 's')
local t = redis.call('HMGET', KEYS[5], 'v', 'lines')
if not rp[1] or not t[2] then
  return 'none'
end
if tonumber(ARGV[1]) <= tonumber(t[1] or '0') then
  return 'version|' .. (t[1] or '0')
end
local line = {}
local sum = 0
for i = 1, tonumber(t[2]) do
  local l = redis.call('HMGET', KEYS[5], 'n' .. i, 'p' .. i)
  line[l[1]] = i
  local chance = tonumber(l[2])
  for j = 2, #ARGV, 2 do
    if ARGV[j] == l[1] then
      chance = tonumber(ARGV[j + 1])
    end
  end
  sum = sum + chance
end
for j = 2, #ARGV, 2 do
  if not line[ARGV[j]] then
    return 'prize|' .. ARGV[j]
  end
end
if sum > 1000000 then
  return 'sum|' .. T(sum)
end
local set = {'HMSET', KEYS[5], 'v', ARGV[1]}
for j = 2, #ARGV, 2 do
  set[#set + 1] = 'p' .. line[ARGV[j]]
  set[#set + 1] = ARGV[j + 1]
end
redis.call(unpack(set))
return 'done|' .. ARGV[1]
