-- One memcached get.
local memc = require("backends").memcached()
local value, _, err = memc:get("k:" .. ngx.var.id)
if err then
  return ngx.exit(503)
end
memc:set_keepalive(60000, 8192)
if not value then
  return ngx.exit(404)
end
ngx.header["Content-Type"] = "application/json"
ngx.print(value)
