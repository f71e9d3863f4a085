-- The same face on sluice, whose own module checks tokens (also HS256, also kept once checked).
local token = require "sluice.token"
local auth = {}
function auth.uid()
  local uid = token.check(ngx.var.http_authorization)
  return uid
end
return auth
