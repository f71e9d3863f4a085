-- GET /v1/redpackets/{id}/winners?page=...: who won what, a page at a time.
local redpacket = require "sluice.redpacket"
local answer = require "answer"

local list, problem = redpacket.winners(ngx.var.id, ngx.var.arg_page)
if not list then
  return answer.problem(problem)
end

answer.json(200, list)
