-- Publishes one chunk of the complete filter of winners, after the last win. The last chunk
-- tells in the red packet's record how many there are.
-- KEYS 4 rp  5 chunks   ARGV 1 id  2 index  3 how many  4 chunk
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'la', 'q', 'f', 'cm', 'sd', 'fix', 'x', 'pt', 'el', 'ea', 'eq')
if not rp[1] then
  return 'none'
end
if (rp[1] ~= 'x' and rp[1] ~= 'c') or rp[5] ~= '0' then
  return 'state|' .. rp[1]
end
local left = T(tonumber(rp[3]) - tonumber(rp[2]))
if rp[11] then
  if rp[14] ~= '0' then
    return 'state|' .. rp[1]
  end
  left = rp[12]
  rp[4] = rp[13]
end
local records = {'wf:' .. ARGV[1] .. ':' .. ARGV[2], '5', rp[10], ARGV[4]}
local last = tonumber(ARGV[2]) + 1 == tonumber(ARGV[3])
local p = false
if last then
  local seed = ''
  if rp[1] == 'c' then
    seed = rp[8]
  end
  p = payload(rp[1], left, rp[4], rp[5], ARGV[3], rp[7], seed, rp[9])
  records[5] = 'rp:' .. ARGV[1]
  records[6] = '1'
  records[7] = rp[10]
  records[8] = p
end
commit(records)
redis.call('HMSET', KEYS[5], ARGV[2], ARGV[4], 'v' .. ARGV[2], version())
if last then
  redis.call('HMSET', KEYS[4], 'f', ARGV[3], 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', rp[2])
end
return 'done'
