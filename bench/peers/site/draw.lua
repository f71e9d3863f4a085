-- One draw, with the guarantees of sluice: one batched cache read, then at most one atomic script.
local cjson = require "cjson.safe"
local auth = require "peer_auth"
local backends = require "backends"

local function answer(status, body)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(cjson.encode(body))
end

local uid = auth.uid()
if not uid then
  return answer(401, {error = {code = "unauthorized", message = "token is not valid"}})
end
local id = ngx.var.id

local memc = backends.memcached()
local rp_key, won_key, user_key = "rp:" .. id, "w:" .. id .. ":" .. uid, "u:" .. uid
local found, err = memc:get({user_key, rp_key, won_key})
if not found then
  return answer(503, {error = {code = "later", message = err}})
end
memc:set_keepalive(60000, 8192)

local user = found[user_key] and cjson.decode(found[user_key][1])
if user and user.blocked then
  return answer(403, {error = {code = "blocked", message = "this user may not draw"}})
end
if found[won_key] then
  local won = cjson.decode(found[won_key][1])
  return answer(200, {outcome = "already", amount = won.amount, share = won.share})
end
local rp = found[rp_key] and cjson.decode(found[rp_key][1])
if rp and rp.state == "closed" and rp.frozen then
  return answer(200, {outcome = "closed"})
end
if rp and ngx.now() * 1000 + 500 < rp.opens_at then
  return answer(200, {outcome = "notopen", opens_at = rp.opens_at, now = math.floor(ngx.now() * 1000)})
end

-- "soldout" in the cache is not enough: this user's win may be newer than his record.
local red = backends.redis()
local tag = "{b07}:"
local reply
reply, err = red:evalsha(backends.sha, 6, tag .. "meta", tag .. "log", tag .. "win", tag .. "rp:" .. id, tag .. "sh:" .. id, tag .. "w:" .. id, id, uid)
if not reply then
  return answer(503, {error = {code = "later", message = err}})
end
red:set_keepalive(60000, 8192)

local outcome, share, fen = reply:match("^(%a+)|?(%d*)[|,]?(%d*)")
if outcome == "won" or outcome == "already" then
  return answer(200, {outcome = outcome, share = tonumber(share), amount = tonumber(fen)})
end
return answer(200, {outcome = outcome})
