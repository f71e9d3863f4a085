-- POST /v1/redpackets/{id}/draw: one user's try.
local redpacket = require "sluice.redpacket"
local answer = require "answer"

-- The body is empty, or {"password":"..."}.
ngx.req.read_body()
local password, problem = redpacket.password(ngx.req.get_body_data())
if problem then
  return answer.problem(problem)
end

-- One batched cache read: the user, the red packet, and "did he win already".
local seen
seen, problem = redpacket.look(ngx.var.id, ngx.ctx.uid)
if not seen then
  return answer.problem(problem)
end

-- Already won, not open yet, all gone: the cache answers most who come, whoever they are.
local outcome = seen:decide()

-- The few who may win ask the home; its atomic script decides.
if not outcome then
  if seen.blocked then
    return answer.refuse(403, "blocked", "this user may not draw")
  end
  local fan = false
  if seen.audience == "fans" then
    fan, problem = redpacket.fan(seen)
    if problem then
      return answer.problem(problem)
    end
  end
  outcome, problem = redpacket.draw(seen, {
    password = password,
    fan = fan,
    key = ngx.var.http_idempotency_key, -- tells the draws of a portal apart
  })
  if not outcome then
    return answer.problem(problem)
  end
end

answer.json(200, outcome:json())
