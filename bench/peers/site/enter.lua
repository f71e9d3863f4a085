-- Room entry: one batched cache read, ban list, answer with a signed entry token.
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
local room_key, user_key = "rm:" .. id, "u:" .. uid
local found, err = memc:get({room_key, user_key})
if not found then
  return answer(503, {error = {code = "later", message = err}})
end
memc:set_keepalive(60000, 8192)
local room = found[room_key] and cjson.decode(found[room_key][1])
if not room then
  return answer(404, {error = {code = "not_found", message = "no such room"}})
end
local user = found[user_key] and cjson.decode(found[user_key][1])
if user and user.blocked or room.bans[uid] then
  return answer(403, {error = {code = "banned", message = "banned from this room"}})
end
local now = math.floor(ngx.now() * 1000)
answer(200, {
  room = {id = room.id, title = room.title, state = room.state, capacity = room.capacity},
  push = room.push,
  token = auth.mint(uid, "room:" .. id, 300),
  token_until = now + 300000,
  now = now,
})
