-- GET /v1/redpackets/{id}: the public state of a red packet.
local redpacket = require "sluice.redpacket"
local answer = require "answer"

local state, problem = redpacket.show(ngx.var.id)
if not state then
  return answer.problem(problem)
end

answer.json(200, state:json())
