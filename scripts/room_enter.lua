-- POST /v1/rooms/{id}/enter: lets a viewer in and says where to connect.
local room = require "sluice.room"
local answer = require "answer"

-- ?sync=force is for somebody who has just logged in elsewhere: his state is
-- asked for at his home at once, if this region lacks it.
local force = ngx.var.arg_sync == "force"

-- Bans, a closed or full room come back as problems.
local entry, problem = room.enter(ngx.var.id, ngx.ctx.uid, force)
if not entry then
  return answer.problem(problem)
end

answer.json(200, entry)
