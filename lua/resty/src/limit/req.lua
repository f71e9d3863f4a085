-- resty.limit.req: a leaky bucket for requests per second. excess counts
-- thousandths of a request above the rate; the dictionary keeps it together
-- with the time it was true, in ms.

local shared, now = ngx.shared, ngx.now
local abs, max = math.abs, math.max
local format, match = string.format, string.match
local type, tonumber, assert, setmetatable = type, tonumber, assert, setmetatable

local _M = { _VERSION = "0.09" }
local mt = { __index = _M }

function _M.new(dict_name, rate, burst)
    local dict = shared[dict_name]
    if not dict then
        return nil, "shared dict not found"
    end
    assert(rate > 0 and burst >= 0)
    return setmetatable({ dict = dict, rate = rate * 1000, burst = burst * 1000 }, mt)
end

local function save(dict, key, excess, last)
    dict:set(key, format("%.0f:%.0f", excess - excess % 1, last - last % 1))
end

-- load gives excess and time, nil when there is none, or nil and an error.
local function load(dict, key)
    local v = dict:get(key)
    if v == nil then
        return nil
    end
    if type(v) == "string" then
        local excess, last = match(v, "^(%d+):(%d+)$")
        if excess then
            return tonumber(excess), tonumber(last)
        end
    end
    return nil, "shdict abused by other users"
end

function _M.incoming(self, key, commit)
    local dict, rate, ms = self.dict, self.rate, now() * 1000
    local excess, last = load(dict, key)
    if excess then
        excess = max(excess - rate * abs(ms - last) / 1000 + 1000, 0)
        if excess > self.burst then
            return nil, "rejected"
        end
    elseif last then
        return nil, last
    else
        excess = 0
    end
    if commit then
        save(dict, key, excess, ms)
    end
    return excess / rate, excess / 1000
end

function _M.uncommit(self, key)
    assert(key)
    local excess, last = load(self.dict, key)
    if not excess then
        return nil, last or "not found"
    end
    save(self.dict, key, max(excess - 1000, 0), last)
    return true
end

function _M.set_rate(self, rate)
    self.rate = rate * 1000
end

function _M.set_burst(self, burst)
    self.burst = burst * 1000
end

return _M
