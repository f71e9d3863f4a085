-- One draw of a lucky or equal red packet.
-- KEYS 4 rp  5 sh  6 winners' hash  7 list set  8 tries (7 and 8 only if rp says list or lock)
-- ARGV 1 id  2 uid  3 winners' hashes as the caller knows them  4 fan 0/1  5 password: 0 none, 1 right, 2 wrong  6 tries allowed
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'o', 'c', 'et', 'q', 'wp', 'x', 'a', 'lk', 'fa', 'ot', 'b')
if not rp[1] then
  return 'none'
end
if rp[10] ~= ARGV[3] then
  return 'hashes|' .. rp[10]
end
-- A quarantined share may be this user's win: then nobody hears soldout or closed.
-- What was answered once is answered again, whatever has happened since.
local had = redis.call('HGET', KEYS[6], ARGV[2])
if had then
  return 'already|' .. had .. '|' .. T(NOW) .. '|' .. WIN
end
if rp[1] == 'c' or rp[1] == 'e' or NOW >= tonumber(rp[7]) or rp[1] == 'z' then
  if rp[9] ~= '0' then
    return 'frozen'
  end
  return 'closed|' .. T(NOW)
end
if (rp[1] ~= 'o' and rp[1] ~= 'x') or NOW < tonumber(rp[6]) then
  return 'notopen|' .. rp[6] .. '|' .. T(NOW)
end
if rp[12] == '1' or rp[13] == '1' then
  if not KEYS[8] then
    return 'hashes|' .. rp[10]
  end
  if rp[12] == '1' and redis.call('SISMEMBER', KEYS[7], ARGV[2]) == 0 then
    return 'denied|list|0|' .. T(NOW)
  end
  if rp[13] == '1' then
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
if rp[14] == '1' and ARGV[4] ~= '1' then
  return 'denied|fans|0|' .. T(NOW)
end
local k = tonumber(rp[2])
local n = tonumber(rp[3])
-- A part of a spread red packet has b, the first share in sh. With quarantined shares it gives nobody
-- a second one; without any left it is dry, which does not mean that all are sold out.
if rp[16] and rp[9] ~= '0' then
  return 'frozen'
end
if k >= n then
  if rp[9] ~= '0' then
    return 'frozen'
  end
  if rp[16] and rp[1] ~= 'x' then
    return 'dry|' .. T(NOW)
  end
  return 'soldout|' .. T(NOW)
end
local w = tonumber(rp[4])
local at = (k - tonumber(rp[16] or '0')) * w
local digits = redis.call('GETRANGE', KEYS[5], T(at), T(at + w - 1))
local amount = tonumber(digits)
local la = tonumber(rp[5])
if not amount or #digits ~= w or amount > la then
  return redis.error_reply('BROKEN share ' .. rp[2] .. ' of ' .. ARGV[1])
end
local share = T(k)
local fen = T(amount)
local left = T(n - k - 1)
la = T(la - amount)
local value = share .. ',' .. fen .. ',' .. T(NOW - tonumber(rp[15]))
local records = {'w:' .. ARGV[1] .. ':' .. ARGV[2], '2', rp[11], share .. ',' .. fen .. ',' .. T(NOW)}
local event = {'i', ARGV[1], 'u', ARGV[2], 's', share, 'a', fen, 't', T(NOW)}
local last = k + 1 == n
if not rp[16] and (last or NOW - tonumber(rp[8]) >= 100) then
  local s = rp[1]
  if last and rp[9] == '0' then
    s = 'x'
  end
  local more = redis.call('HMGET', KEYS[4], 'f', 'cm', 'fix')
  local p = payload(s, left, la, rp[9], more[1], more[2], '', more[3])
  records[5] = 'rp:' .. ARGV[1]
  records[6] = '1'
  records[7] = rp[11]
  records[8] = p
  local seq = commit(records, event)
  redis.call('HSET', KEYS[6], ARGV[2], value)
  redis.call('HMSET', KEYS[4], 's', s, 'k', T(k + 1), 'la', la, 'ep', p, 'ev', version(), 'et', T(NOW), 'ek', T(k + 1))
  if last then
    redis.call('UNLINK', KEYS[5]) -- nobody needs the amounts any more: the ledger has the seed
  end
  return 'won|' .. share .. '|' .. fen .. '|' .. T(NOW) .. '|' .. seq
end
local seq = commit(records, event)
redis.call('HSET', KEYS[6], ARGV[2], value)
redis.call('HMSET', KEYS[4], 'k', T(k + 1), 'la', la)
return 'won|' .. share .. '|' .. fen .. '|' .. T(NOW) .. '|' .. seq
