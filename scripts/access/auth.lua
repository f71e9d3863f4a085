-- Who is asking? The uid comes from the token, never from the query.
local token = require "sluice.token"
local answer = require "answer"

local uid, scope = token.check(ngx.var.http_authorization)
if not uid then
  ngx.header["WWW-Authenticate"] = "Bearer"
  return answer.refuse(401, "unauthorized", scope) -- here: the reason
end

ngx.ctx.uid = uid
ngx.ctx.scope = scope
