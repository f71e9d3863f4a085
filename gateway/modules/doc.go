// Package modules gives the Lua handlers what OpenResty has not: the sluice.*
// modules.
//
//	local token     = require "sluice.token"      -- who is asking
//	local redpacket = require "sluice.redpacket"  -- fund, look, draw, show, winners
//	local wins      = require "sluice.wins"       -- a user's wins, from the ledger
//	local room      = require "sluice.room"       -- live rooms
//	local json      = require "sluice.answer"     -- the shapes of errors
//
// A call returns its result, or nil and a problem: a table with status, code,
// message, body (the JSON to send) and, when the client should come back,
// retry_after in seconds. A handler needs no more than
//
//	local outcome, problem = redpacket.draw(seen)
//	if not outcome then return answer.problem(problem) end
//
// Each call counts against the handler's budget of backend calls. Results are
// userdata: their fields are read by name, json() is the answer's body.
package modules
