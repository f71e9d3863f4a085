-- resty.lock: a lock over VMs and requests, kept as a key in a shared
-- dictionary. A lock that nobody unlocks goes when its exptime is over, or
-- when the garbage collector finds that nobody has it any more: guard is a Go
-- function whose answer lives as long as the lock object.

local _, guard = ...

local shared, sleep = ngx.shared, ngx.sleep
local min, max = math.min, math.max

local _M = { _VERSION = "0.09" }
local mt = { __index = _M }

function _M.new(_, dict_name, opts)
    local dict = shared[dict_name]
    if not dict then
        return nil, "dictionary not found"
    end
    opts = opts or {}
    local exptime = opts.exptime or 30
    local timeout, step = opts.timeout, opts.step
    if timeout then
        timeout = min(timeout, exptime)
        if step then
            step = min(step, timeout)
        end
    end
    return setmetatable({
        dict = dict,
        timeout = timeout or 5,
        exptime = exptime,
        step = step or 0.001,
        ratio = opts.ratio or 2,
        max_step = opts.max_step or 0.5,
    }, mt)
end

-- try takes the lock if it is free: true, false, or nil and an error.
local function try(self, key)
    local ok, err = self.dict:add(key, true, self.exptime)
    if ok then
        self.key, self.held = key, guard(self.dict, key, self.exptime)
        return true
    end
    if err == "exists" then
        return false
    end
    return nil, err
end

function _M.lock(self, key)
    if not key then
        return nil, "nil key"
    end
    if self.held then
        return nil, "locked"
    end
    local ok, err = try(self, key)
    if ok then
        return 0
    end
    if ok == nil then
        return nil, err
    end
    -- Somebody holds it: look again after steps that grow.
    local step, timeout, elapsed = self.step, self.timeout, 0
    while timeout > 0 do
        sleep(step)
        elapsed = elapsed + step
        timeout = timeout - step
        ok, err = try(self, key)
        if ok then
            return elapsed
        end
        if ok == nil then
            return nil, err
        end
        if timeout <= 0 then
            break
        end
        step = min(max(0.001, step * self.ratio), timeout, self.max_step)
    end
    return nil, "timeout"
end

function _M.unlock(self)
    if not self.held then
        return nil, "unlocked"
    end
    local ok, err = self.dict:delete(self.key)
    if not ok then
        return nil, err
    end
    guard(self.held)
    self.held = nil
    return 1
end

function _M.expire(self, time)
    if not self.held then
        return nil, "unlocked"
    end
    local ok, err = self.dict:replace(self.key, true, time or self.exptime)
    if not ok then
        return nil, err
    end
    return true
end

return _M
