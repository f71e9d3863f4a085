-- The shapes of all answers, in one place.
--
--   answer.json(200, text)                  a good answer; text is JSON
--   answer.problem(problem)                 what a sluice.* call could not do
--   answer.refuse(403, "code", "message")   what the handler itself refuses
local shapes = require "sluice.answer"

local answer = {}

function answer.json(status, text)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(text)
end

-- Ends the request, also from the access phase.
function answer.problem(problem)
  if problem.retry_after then
    ngx.header["Retry-After"] = problem.retry_after
  end
  answer.json(problem.status, problem.body)
  return ngx.exit(ngx.HTTP_OK)
end

function answer.refuse(status, code, message, field)
  return answer.problem(shapes.make(status, code, message, field))
end

return answer
