-- Sets up one part of a spread red packet in its bucket, with the range of shares it begins with.
-- KEYS 4 part  5 list set   ARGV 1 id  2 how many texts of the hash follow, then that many
-- fields and values; then the uids of the list that belong to this part
local had = redis.call('HMGET', KEYS[4], 's', 'b')
if had[2] then
  return 'again|' .. had[1]
end
if had[1] and had[1] ~= 'p' then
  return 'state|' .. had[1]
end
commit({})
local to = 2 + tonumber(ARGV[2])
redis.call('HMSET', KEYS[4], unpack(ARGV, 3, to))
for i = to + 1, #ARGV, 1000 do
  local last = i + 999
  if last > #ARGV then
    last = #ARGV
  end
  redis.call('SADD', KEYS[5], unpack(ARGV, i, last))
end
return 'done|p'
