-- POST /v1/rooms/{id}/enter: lets a viewer in and says where to connect.
local room = require "sluice.room"
local answer = require "answer"

-- Bans, a closed or full room come back as problems.
local entry, problem = room.enter(ngx.var.id, ngx.ctx.uid)
if not entry then
  return answer.problem(problem)
end

answer.json(200, entry)
