-- ngx.re as a module: split, and opt, which has nothing to set here.

local match, sub = ngx.re.match, string.sub
local type, error, tostring = type, error, tostring

local _M = { version = "0.1.28" }

function _M.opt(option)
    if option ~= "jit_stack_size" then
        error("unrecognized option name", 2)
    end
end

-- split cuts subj at the matches of regex; the separator's first capture
-- becomes a piece too. ctx.pos says where to begin, max how many pieces there
-- may be (0: any number), res is filled when it is given. An empty match
-- cuts between two characters.
function _M.split(subj, regex, opts, ctx, max, res)
    subj = tostring(subj)
    ctx = ctx or {}
    local pos, len = ctx.pos or 1, #subj
    max = max or 0
    if res and type(res) ~= "table" then
        error("res is not a table", 2)
    end
    res = res or {}
    if pos > len then
        res[1] = nil
        return res
    end
    local n, count, last_empty = 0, 1, nil
    local at = { pos = pos }
    while max <= 0 or count < max do
        if at.pos > len + 1 then
            break
        end
        local m, err = match(subj, regex, opts, at)
        if err then
            return nil, err
        end
        if not m then
            break
        end
        local to = at.pos
        local from = to - #m[0]
        if from == to then
            at.pos = to + 1
        end
        if last_empty then
            pos = last_empty
        end
        if from == to then
            last_empty = from
        end
        if from > pos or not last_empty then
            count = count + 1
            n = n + 1
            res[n] = sub(subj, pos, from - 1)
            if m[1] then
                n = n + 1
                res[n] = m[1]
            end
            pos = to
            if pos > len then
                break
            end
        end
    end
    ctx.pos = at.pos
    if max <= 0 and pos > len then
        -- Without a limit, empty pieces at the end are dropped.
        while n > 0 and res[n] == "" do
            res[n] = nil
            n = n - 1
        end
    else
        n = n + 1
        res[n] = sub(subj, pos)
    end
    res[n + 1] = nil
    return res
end

return _M
