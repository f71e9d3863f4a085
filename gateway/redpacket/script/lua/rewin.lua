-- The certifier's: writes winners as the ledger knows them, and their records.
-- KEYS 4 winners' hash   ARGV 1 id  2 expiry  3 portal 0/1  4.. who, value, payload of the record, ...
local records = {}
for i = 4, #ARGV, 3 do
  if ARGV[3] ~= '1' then
    records[#records + 1] = 'w:' .. ARGV[1] .. ':' .. ARGV[i]
    records[#records + 1] = '2'
    records[#records + 1] = ARGV[2]
    records[#records + 1] = ARGV[i + 2]
  end
end
if #records > 0 then
  commit(records)
end
for i = 4, #ARGV, 3 do
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
end
return 'done'
