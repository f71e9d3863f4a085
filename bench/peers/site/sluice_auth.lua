-- The same face on sluice, whose own module checks tokens (also HS256, also kept once checked). Entry
-- tokens are signed with resty.sha256: HMAC is two hashes over padded keys (RFC 2104).
local token = require "sluice.token"
local sha256 = require "resty.sha256"
local bit = require "bit"
local cjson = require "cjson.safe"
local backends = require "backends"

local function pad(byte)
  local key = backends.secret .. string.rep("\0", 64 - #backends.secret)
  return (key:gsub(".", function(c)
    return string.char(bit.bxor(c:byte(), byte))
  end))
end

local inner, outer = pad(0x36), pad(0x5c)

local function hash(a, b)
  local h = sha256:new()
  h:update(a)
  h:update(b)
  return h:final()
end

local function base64url(text)
  return (ngx.encode_base64(text, true):gsub("[+/]", {["+"] = "-", ["/"] = "_"}))
end

local header = base64url('{"alg":"HS256","kid":"k1","typ":"JWT"}')
local auth = {}

function auth.uid()
  local uid = token.check(ngx.var.http_authorization)
  return uid
end

function auth.mint(uid, scope, life)
  local body = header .. "." .. base64url(cjson.encode({sub = uid, scope = scope, exp = ngx.time() + life}))
  return body .. "." .. base64url(hash(outer, hash(inner, body)))
end

return auth
