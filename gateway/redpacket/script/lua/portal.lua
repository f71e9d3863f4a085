-- One draw of a portal. The prize table with its budgets stands in the bucket; chance comes from
-- the caller, and only its first use for (uid, n) counts.
-- KEYS 4 rp  5 prize table  6 winners' hash  7 list set  8 tries (7 and 8 only if rp says list or lock)
-- ARGV 1 id  2 uid  3 winners' hashes as the caller knows them  4 fan 0/1  5 password: 0 none, 1 right, 2 wrong  6 tries allowed
--      7 n  8 chance, 0..999999  9 draws a user has
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'o', 'c', 'et', 'q', 'f', 'cm', 'fix', 'wp', 'x', 'a', 'lk', 'fa', 'ot')
if not rp[1] then
  return 'none'
end
if rp[13] ~= ARGV[3] then
  return 'hashes|' .. rp[13]
end
local who = ARGV[2] .. '|' .. ARGV[7]
local count = ARGV[2] .. '|'
local had = redis.call('HMGET', KEYS[6], who, count)
local used = tonumber(had[2] or '0')
local cap = tonumber(ARGV[9])
if had[1] == '-' then
  return 'nothing|' .. T(cap - used) .. '|' .. T(NOW) .. '|' .. WIN
end
if had[1] then
  return 'already|' .. had[1] .. '|' .. T(NOW) .. '|' .. WIN
end
if rp[1] == 'c' or rp[1] == 'e' or NOW >= tonumber(rp[7]) then
  if rp[9] ~= '0' then
    return 'frozen'
  end
  return 'closed|' .. T(NOW)
end
if (rp[1] ~= 'o' and rp[1] ~= 'x') or NOW < tonumber(rp[6]) then
  return 'notopen|' .. rp[6] .. '|' .. T(NOW)
end
if rp[15] == '1' or rp[16] == '1' then
  if not KEYS[8] then
    return 'hashes|' .. rp[13]
  end
  if rp[15] == '1' and redis.call('SISMEMBER', KEYS[7], ARGV[2]) == 0 then
    return 'denied|list|0|' .. T(NOW)
  end
  if rp[16] == '1' then
    local tries = tonumber(redis.call('HGET', KEYS[8], ARGV[2]) or '0')
    local allowed = tonumber(ARGV[6])
    if tries >= allowed then
      return 'denied|tries|0|' .. T(NOW)
    end
    if ARGV[5] ~= '1' then
      if ARGV[5] == '2' then
        tries = tries + 1
        redis.call('HSET', KEYS[8], ARGV[2], T(tries))
      end
      return 'denied|password|' .. T(allowed - tries) .. '|' .. T(NOW)
    end
  end
end
if rp[17] == '1' and ARGV[4] ~= '1' then
  return 'denied|fans|0|' .. T(NOW)
end
if used >= cap then
  return 'denied|cap|0|' .. T(NOW)
end
local k = tonumber(rp[2])
local n = tonumber(rp[3])
if k >= n then
  if rp[9] ~= '0' then
    return 'frozen'
  end
  return 'soldout|' .. T(NOW)
end
-- Which prize does the chance fall on?
local lines = tonumber(redis.call('HGET', KEYS[5], 'lines') or '0')
local chance = tonumber(ARGV[8])
local hit = 0
local line = false
for i = 1, lines do
  local l = redis.call('HMGET', KEYS[5], 'p' .. i, 'b' .. i, 'g' .. i, 'a' .. i, 'n' .. i, 'k' .. i)
  if chance < tonumber(l[1]) then
    hit = i
    line = l
    break
  end
  chance = chance - tonumber(l[1])
end
-- A budget is let out evenly over time, so that it does not run out in the first second.
local given = 0
local amount = 0
if line then
  given = tonumber(line[3] or '0')
  amount = tonumber(line[4])
  local from = tonumber(rp[6])
  if tonumber(rp[18]) > from then
    from = tonumber(rp[18])
  end
  local span = tonumber(rp[7]) - from
  local out = math.ceil(tonumber(line[2]) * (NOW - from + 1) / span)
  if given >= out or given >= tonumber(line[2]) or amount > tonumber(rp[5]) then
    hit = 0
  end
end
if hit == 0 then
  redis.call('HMSET', KEYS[6], who, '-', count, T(used + 1))
  return 'nothing|' .. T(cap - used - 1) .. '|' .. T(NOW) .. '|' .. WIN
end
local prize = line[6] .. ':' .. line[5]
if line[6] == 'coupon' then
  local code = redis.call('HGET', KEYS[5], 'c' .. hit .. ':' .. T(given))
  prize = prize .. ':' .. (code or (ARGV[1] .. '-' .. rp[2]))
end
local share = T(k)
local fen = T(amount)
local left = T(n - k - 1)
local la = T(tonumber(rp[5]) - amount)
local value = share .. ',' .. fen .. ',' .. T(NOW - tonumber(rp[18])) .. ',' .. prize
local event = {'i', ARGV[1], 'u', ARGV[2], 's', share, 'a', fen, 't', T(NOW), 'n', ARGV[7], 'z', prize}
local seq = false
local s = rp[1]
if k + 1 == n or NOW - tonumber(rp[8]) >= 100 then
  if k + 1 == n and rp[9] == '0' then
    s = 'x'
  end
  local p = payload(s, left, la, rp[9], rp[10], rp[11], '', rp[12])
  seq = commit({'rp:' .. ARGV[1], '1', rp[14], p}, event)
  redis.call('HMSET', KEYS[4], 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', T(k + 1))
else
  seq = commit({}, event)
end
redis.call('HMSET', KEYS[6], who, value, count, T(used + 1))
redis.call('HSET', KEYS[5], 'g' .. hit, T(given + 1))
redis.call('HMSET', KEYS[4], 's', s, 'k', T(k + 1), 'la', la)
return 'won|' .. share .. '|' .. fen .. '|' .. T(NOW) .. '|' .. seq .. '|' .. prize .. '|' .. T(cap - used - 1)
