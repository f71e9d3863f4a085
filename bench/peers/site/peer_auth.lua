-- Patterns are used only where a token is new: LuaJIT does not compile them.
-- HS256 by OpenSSL through FFI, as lua-resty-jwt does it; checked tokens are kept, as sluice keeps them.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local b64 = require "ngx.base64"
local lrucache = require "resty.lrucache"
local backends = require "backends"
local C = ffi.C

ffi.cdef [[
typedef struct evp_md_st EVP_MD;
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *d, size_t n, unsigned char *out, unsigned int *len);
]]

local sha256, sum, len = C.EVP_sha256(), ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")
local seen = lrucache.new(50000)
local secret = backends.secret
local header = b64.encode_base64url('{"alg":"HS256","kid":"k1","typ":"JWT"}')

local function sign(text)
  C.HMAC(sha256, secret, #secret, text, #text, sum, len)
  return b64.encode_base64url(ffi.string(sum, len[0]))
end

local auth = {}

function auth.uid()
  local value = ngx.var.http_authorization
  if not value or value:sub(1, 7) ~= "Bearer " then
    return nil
  end
  local token = value:sub(8)
  local claims = seen:get(token)
  if not claims then
    local head, body, mac = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    if not head or sign(head .. "." .. body) ~= mac then
      return nil
    end
    local h = cjson.decode(b64.decode_base64url(head))
    claims = cjson.decode(b64.decode_base64url(body))
    if not h or h.alg ~= "HS256" or h.kid ~= "k1" or not claims or not claims.exp or type(claims.sub) ~= "string"
      or #claims.sub > 64 or not claims.sub:find("^[%w_-]+$") then
      return nil
    end
    seen:set(token, claims)
  end
  if claims.exp < ngx.time() then
    return nil
  end
  return claims.sub
end

function auth.mint(uid, scope, life)
  local body = header .. "." .. b64.encode_base64url(cjson.encode({sub = uid, scope = scope, exp = ngx.time() + life}))
  return body .. "." .. sign(body)
end

return auth
