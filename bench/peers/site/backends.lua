local memcached = require "resty.memcached"
local redis = require "resty.redis"

local function same(key)
  return key
end

local backends = {sha = "@SHA@", secret = "@SECRET@"}

function backends.memcached()
  local memc = memcached:new({key_transform = {same, same}})
  memc:set_timeout(2000)
  memc:connect("127.0.0.1", @MEMCACHED@)
  return memc
end

function backends.redis()
  local red = redis:new()
  red:set_timeout(2000)
  red:connect("127.0.0.1", @REDIS@)
  return red
end

return backends
