-- resty.lrucache: a cache of Lua values for one VM, the least recently used
-- key goes first. Nodes form a ring; self.ring is its fixed point, the newest
-- node comes after it.

local now = ngx.now
local setmetatable, type = setmetatable, type

local _M = { _VERSION = "0.14" }
local mt = { __index = _M }

function _M.new(size)
    if size < 1 then
        return nil, "size too small"
    end
    local ring = {}
    ring.prev, ring.next = ring, ring
    return setmetatable({ hasht = {}, ring = ring, num_items = 0, max_items = size }, mt)
end

function _M.count(self)
    return self.num_items
end

function _M.capacity(self)
    return self.max_items
end

local function unlink(node)
    local prev, next = node.prev, node.next
    prev.next = next
    next.prev = prev
end

local function link(ring, node)
    local first = ring.next
    node.prev = ring
    node.next = first
    first.prev = node
    ring.next = node
end

function _M.get(self, key)
    local node = self.hasht[key]
    if node == nil then
        return nil
    end
    local ring = self.ring
    if ring.next ~= node then
        unlink(node)
        link(ring, node)
    end
    local expire = node.expire
    if expire and expire < now() then
        return nil, node.value, node.flags
    end
    return node.value, nil, node.flags
end

function _M.delete(self, key)
    local node = self.hasht[key]
    if node == nil then
        return false
    end
    self.hasht[key] = nil
    unlink(node)
    self.num_items = self.num_items - 1
    return true
end

function _M.set(self, key, value, ttl, flags)
    if value == nil then
        _M.delete(self, key)
        return
    end
    local nodes, ring = self.hasht, self.ring
    local node = nodes[key]
    if node then
        unlink(node)
    elseif self.num_items >= self.max_items then
        -- The oldest node is used again for the new key.
        node = ring.prev
        unlink(node)
        nodes[node.key] = nil
        nodes[key] = node
    else
        node = {}
        nodes[key] = node
        self.num_items = self.num_items + 1
    end
    node.key, node.value = key, value
    node.expire = ttl and now() + ttl or nil
    node.flags = type(flags) == "number" and flags >= 0 and flags or 0
    link(ring, node)
end

function _M.get_keys(self, max_count, res)
    if not max_count or max_count == 0 then
        max_count = self.num_items
    end
    res = res or {}
    local ring, i = self.ring, 0
    local node = ring.next
    while node ~= ring and i < max_count do
        i = i + 1
        res[i] = node.key
        node = node.next
    end
    res[i + 1] = nil
    return res
end

function _M.flush_all(self)
    local ring = self.ring
    ring.prev, ring.next = ring, ring
    self.hasht, self.num_items = {}, 0
end

return _M
