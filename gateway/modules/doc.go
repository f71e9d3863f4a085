// Package modules gives the Lua handlers what OpenResty has not: the sluice.*
// modules.
//
//	local token     = require "sluice.token"      -- who is asking
//	local redpacket = require "sluice.redpacket"  -- fund, look, draw, show, winners
//	local wins      = require "sluice.wins"       -- a user's wins, from the ledger
//	local room      = require "sluice.room"       -- live rooms
//	local json      = require "sluice.answer"     -- the shapes of errors
//	local cache     = require "sluice.cache"      -- the region's memcached
//	local redis     = require "sluice.redis"      -- the region's Redis
//
// A call of the house's own modules returns its result, or nil and a problem: a table with status, code,
// message, body (the JSON to send) and, when the client should come back,
// retry_after in seconds. A handler needs no more than
//
//	local outcome, problem = redpacket.draw(seen)
//	if not outcome then return answer.problem(problem) end
//
// Each call counts against the handler's budget of backend calls. Results are
// userdata: their fields are read by name, json() is the answer's body.
//
// sluice.cache and sluice.redis are for data of the scripts' own. They share
// the gateway's connections, so calls of all requests travel in common batches:
//
//	cache.get(key)                         value, flags | nil | nil, err
//	cache.get_multi{key, ...}              {key = value} [, err]: what was found
//	cache.set(key, value [, s [, flags]])  true | nil, err; add and replace likewise
//	cache.delete(key)                      true | nil, err
//	cache.incr(key, delta [, init [, s]])  number | nil, err
//
//	redis.call("hset", key, field, value)  reply | false, err | nil, err
//	redis.pipeline{{"get", a}, {"ttl", b}} {reply, ...} | nil, err
//
// s is seconds to live, none means for ever. An err of cache is "not found",
// "not stored" (add: it exists; replace: it does not), "bad key", "too large",
// or tells of the way to the node, as in redis too: "timeout", "down", "lost",
// "busy"; after "timeout" and "lost" a write may have happened. Replies of Redis
// are shaped as resty.redis shapes them: nil as ngx.null, an error in a pipeline
// as {false, err}; false, err from call is Redis refusing. Commands that wait,
// or change the connection or the server, and keys of the house are refused by
// an error. A call, a pipeline and a get_multi count as one backend call each.
package modules
