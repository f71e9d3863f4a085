-- POST /v1/redpackets: funds a red packet. It is paid and split behind the
-- answer, and opens when the ledger has it.
local redpacket = require "sluice.redpacket"
local token = require "sluice.token"
local answer = require "answer"

-- Not every user may spend money: the token says who may.
if not token.has(ngx.ctx.scope, "fund") then
  return answer.refuse(403, "scope", "funding needs a token with scope fund")
end

-- The same Idempotency-Key is the same red packet, however often it is sent.
local key = ngx.var.http_idempotency_key
if key and (#key == 0 or #key > 128) then
  return answer.refuse(400, "bad_idempotency_key", "Idempotency-Key has 1 to 128 characters", "Idempotency-Key")
end

ngx.req.read_body()
local funded, problem = redpacket.fund(ngx.ctx.uid, ngx.req.get_body_data() or "", key)
if not funded then
  return answer.problem(problem)
end

ngx.header["Location"] = "/v1/redpackets/" .. funded.id
answer.json(202, '{"id":"' .. funded.id .. '","state":"' .. funded.state .. '"}\n')
