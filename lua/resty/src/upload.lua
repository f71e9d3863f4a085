-- resty.upload: a multipart/form-data body, piece by piece: read() answers
-- "header", "body", "part_end" and "eof" in turn.

local match = string.match
local setmetatable, type = setmetatable, type

local _M = { _VERSION = "0.11" }
local mt = { __index = _M }

local BEGIN, HEADER, BODY, EOF = 1, 2, 3, 4

local function get_boundary()
    local header = ngx.var.content_type
    if type(header) == "table" then
        header = header[1]
    end
    if not header then
        return nil
    end
    return match(header, ';%s*boundary="([^"]+)"') or match(header, ';%s*boundary=([^",;]+)')
end

function _M.new(_, chunk_size, max_line_size)
    local boundary = get_boundary()
    if not boundary then
        return nil, "no boundary defined in Content-Type"
    end
    local sock, err = ngx.req.socket()
    if not sock then
        return nil, err
    end
    local read2boundary, err2 = sock:receiveuntil("--" .. boundary)
    if not read2boundary then
        return nil, err2
    end
    return setmetatable({
        sock = sock,
        size = chunk_size or 4096,
        line_size = max_line_size or 512,
        read2boundary = read2boundary,
        read_line = sock:receiveuntil("\r\n"),
        boundary = boundary,
        state = BEGIN,
    }, mt)
end

function _M.set_timeout(self, timeout)
    return self.sock:settimeout(timeout)
end

-- line reads one line that must not be too long.
local function line(self)
    local read_line = self.read_line
    local text, err = read_line(self.line_size)
    if err then
        return nil, err
    end
    local more, err2 = read_line(1)
    if more then
        return nil, "line too long: " .. (text or "") .. more .. "..."
    end
    if err2 then
        return nil, err2
    end
    return text or ""
end

local function discard_rest(self)
    while true do
        local data, err = self.sock:receive(self.size)
        if err and err ~= "closed" then
            return nil, err
        end
        if not data then
            return 1
        end
    end
end

local function read_body_part(self)
    local chunk, err = self.read2boundary(self.size)
    if err then
        return nil, nil, err
    end
    if chunk then
        return "body", chunk
    end
    -- Behind a boundary: "--" ends the form, a line end begins the next part.
    local data = self.sock:receive(2)
    if data == "--" then
        local ok, err2 = discard_rest(self)
        if not ok then
            return nil, nil, err2
        end
        self.state = EOF
        return "part_end"
    end
    if data ~= "\r\n" then
        local ok, err2 = line(self)
        if not ok then
            return nil, nil, err2
        end
    end
    self.state = HEADER
    return "part_end"
end

local function read_header(self)
    local text, err = line(self)
    if not text then
        return nil, nil, err
    end
    if text == "" then
        self.state = BODY
        return read_body_part(self)
    end
    local key, value = match(text, "([^: \t]+)%s*:%s*(.+)")
    if not key then
        return "header", text
    end
    return "header", { key, value, text }
end

local function read_preamble(self)
    repeat
        local data, err = self.read2boundary(self.size)
        if err then
            return nil, nil, err
        end
    until not data
    local ok, err = line(self)
    if not ok then
        return nil, nil, err
    end
    self.read2boundary = self.sock:receiveuntil("\r\n--" .. self.boundary)
    self.state = HEADER
    return read_header(self)
end

local handlers = { read_preamble, read_header, read_body_part, function() return "eof", nil end }

function _M.read(self)
    return handlers[self.state](self)
end

return _M
