-- Draws of one or more users from a lucky or equal red packet, one after the other in the order given.
-- Each is decided before anything is written, so that an error leaves nothing half done.
-- KEYS 4 rp  5 sh  6 list set  7 tries (6 and 7 are rp where the caller knows of neither list nor lock)  8.. the winners' hash of each user
-- ARGV 1 id  2 winners' hashes as the caller knows them  3 tries allowed
--      4.. of each user: uid, fan 0/1, password: 0 none, 1 right, 2 wrong
-- The reply is a line for each user.
local users = #KEYS - 7
local rp = redis.call('HMGET', KEYS[4], 's', 'k', 'n', 'w', 'la', 'o', 'c', 'et', 'q', 'wp', 'x', 'a', 'lk', 'fa', 'ot', 'b')
if not rp[1] then
  return string.rep('none\n', users)
end
if rp[10] ~= ARGV[2] or (rp[12] == '1' or rp[13] == '1') and KEYS[6] == KEYS[4] then
  return string.rep('hashes|' .. rp[10] .. '\n', users)
end
local now = T(NOW)
local k = tonumber(rp[2])
local n = tonumber(rp[3])
local w = tonumber(rp[4])
local la = tonumber(rp[5])
local had = {} -- what each user has won before his turn
local mine = {} -- what a uid wins here
local winners = {} -- which of the users win, and
local amounts = {} -- how much each of those
local digits
-- decide answers one user, or takes the next share for him and answers nothing.
local function decide(i, uid, fan, pass)
  -- What was answered once is answered again, whatever has happened since.
  had[i] = mine[uid] or redis.call('HGET', KEYS[7 + i], uid)
  if had[i] then
    return nil
  end
  -- A quarantined share may be this user's win: then nobody hears soldout or closed.
  if rp[1] == 'c' or rp[1] == 'e' or NOW >= tonumber(rp[7]) or rp[1] == 'z' then
    if rp[9] ~= '0' then
      return 'frozen'
    end
    return 'closed|' .. now
  end
  if (rp[1] ~= 'o' and rp[1] ~= 'x') or NOW < tonumber(rp[6]) then
    return 'notopen|' .. rp[6] .. '|' .. now
  end
  if rp[12] == '1' and redis.call('SISMEMBER', KEYS[6], uid) == 0 then
    return 'denied|list|0|' .. now
  end
  if rp[13] == '1' then
    local tries = tonumber(redis.call('HGET', KEYS[7], uid) or '0')
    local allowed = tonumber(ARGV[3])
    if tries >= allowed then
      return 'denied|tries|0|' .. now
    end
    if pass ~= '1' then
      if pass == '2' then
        tries = tries + 1
        redis.call('HSET', KEYS[7], uid, T(tries))
      end
      return 'denied|password|' .. T(allowed - tries) .. '|' .. now
    end
  end
  if rp[14] == '1' and fan ~= '1' then
    return 'denied|fans|0|' .. now
  end
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
      return 'dry|' .. now
    end
    return 'soldout|' .. now
  end
  if not digits then
    local at = (k - tonumber(rp[16] or '0')) * w
    digits = redis.call('GETRANGE', KEYS[5], T(at), T(at + users * w - 1))
  end
  local text = string.sub(digits, #winners * w + 1, #winners * w + w)
  local amount = tonumber(text)
  if not amount or #text ~= w or amount > la then
    return 'broken'
  end
  winners[#winners + 1] = i
  amounts[#winners] = T(amount)
  mine[uid] = T(k) .. ',' .. T(amount) .. ',' .. T(NOW - tonumber(rp[15]))
  k = k + 1
  la = la - amount
end
local answers = {}
for i = 1, users do
  answers[i] = decide(i, ARGV[3 * i + 1], ARGV[3 * i + 2], ARGV[3 * i + 3])
  if answers[i] == 'broken' then
    return redis.error_reply('BROKEN share ' .. T(k) .. ' of ' .. ARGV[1])
  end
end
if #winners > 0 then
  local last = k == n
  local tell = not rp[16] and (last or NOW - tonumber(rp[8]) >= 100)
  local s = rp[1]
  if last and rp[9] == '0' then
    s = 'x'
  end
  local p
  for j = 1, #winners do
    local i = winners[j]
    local uid = ARGV[3 * i + 1]
    local share = T(k - #winners + j - 1)
    local records = {'w:' .. ARGV[1] .. ':' .. uid, '2', rp[11], share .. ',' .. amounts[j] .. ',' .. now}
    if tell and j == #winners then
      local more = redis.call('HMGET', KEYS[4], 'f', 'cm', 'fix')
      p = payload(s, T(n - k), T(la), rp[9], more[1], more[2], '', more[3])
      records[5] = 'rp:' .. ARGV[1]
      records[6] = '1'
      records[7] = rp[11]
      records[8] = p
    end
    local seq = enter(records, {'i', ARGV[1], 'u', uid, 's', share, 'a', amounts[j], 't', now})
    redis.call('HSET', KEYS[7 + i], uid, mine[uid])
    answers[i] = 'won|' .. share .. '|' .. amounts[j] .. '|' .. now .. '|' .. seq
  end
  mark()
  if tell then
    redis.call('HMSET', KEYS[4], 's', s, 'k', T(k), 'la', T(la), 'ep', p, 'ev', version(), 'et', now, 'ek', T(k))
    if last then
      redis.call('UNLINK', KEYS[5]) -- nobody needs the amounts any more: the ledger has the seed
    end
  else
    redis.call('HMSET', KEYS[4], 'k', T(k), 'la', T(la))
  end
end
for i = 1, users do
  if had[i] then
    answers[i] = 'already|' .. had[i] .. '|' .. now .. '|' .. WIN
  end
end
return table.concat(answers, '\n') .. '\n'
