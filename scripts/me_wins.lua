-- GET /v1/me/wins?page=...: what the asking user has won, with pay-out state.
local wins = require "sluice.wins"
local answer = require "answer"

local list, problem = wins.list(ngx.ctx.uid, ngx.var.arg_page)
if not list then
  return answer.problem(problem)
end

answer.json(200, list)
