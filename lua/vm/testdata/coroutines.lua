local function P(...) print(...) end
local co = coroutine.create(function(a, b) P("start", a, b) local c = coroutine.yield(a + b) P("got", c) local d, e = coroutine.yield(c * 2) P("got", d, e) return "end", 99 end)
P(coroutine.resume(co, 1, 2)) P(coroutine.status(co)) P(coroutine.resume(co, 10)) P(coroutine.resume(co, "x", "y")) P(coroutine.status(co)) P(coroutine.resume(co))
local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) P(gen(), gen(), gen(), gen()) P(pcall(gen))
P(coroutine.running()) P(coroutine.isyieldable()) coroutine.wrap(function() P(type(coroutine.running()), coroutine.isyieldable()) end)()
-- yield across pcall, xpcall, metamethods, iterators, tostring
co = coroutine.wrap(function() local ok, v = pcall(function() local x = coroutine.yield("in pcall") error("err " .. x, 0) end) P(ok, v) ok, v = pcall(coroutine.yield, "direct") P(ok, v) P(xpcall(function(...) local x = coroutine.yield("in xpcall", ...) error("e " .. x, 0) end, function(m) return "H(" .. m .. ")" end, 1, 2)) return "done" end)
P(co()) P(co("A")) P(co("B")) P(co("C"))
local mt = {} for _, e in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "concat", "eq", "lt", "le", "index", "call"} do mt["__" .. e] = function(...) return coroutine.yield(e) end end mt.__newindex = function(t, k, v) coroutine.yield("newindex " .. tostring(k)) end
co = coroutine.wrap(function() local a, b = setmetatable({}, mt), setmetatable({}, mt) P(a + 1, 1 - a, a * b, a / 2, a % 2, a ^ 2, -a) P(a .. "x", "y" .. a, "p" .. a .. "q") P(a == b, a ~= b, a < b, a <= b, a > b, a >= b) P(a.foo, a[1], a(1, 2)) a.new = 1 if a < b then P("lt true") else P("lt false") end if not (a <= b) then P("not le") end local t = {a.x, a.y, a.z} P(#t, t[3]) return a(5) end)
local r = co() local n = 0 while r ~= "fin" do n = n + 1 P(n, r) local ok, v = pcall(co, n % 3 == 0 and nil or n) if not ok then P(v) break end r = v if n > 60 then break end end
co = coroutine.wrap(function() for k, v in function(s, c) return coroutine.yield(s, c) end, "state", "init" do P("loop", k, v) end for k in coroutine.yield, 1, 2 do P("direct", k) end return "iter done" end)
P(co()) P(co("k1", "v1")) P(co(nil)) P(co("z")) P(co())
co = coroutine.wrap(function() P(tostring(setmetatable({}, {__tostring = function() return coroutine.yield("ts") end}))) return 1 end) P(co()) P(co("string!"))
co = coroutine.wrap(function(...) return select("#", ...), coroutine.yield(...) end) P(co(nil, nil)) P(co(nil, 1, nil))
-- yields in tail position and with many values
co = coroutine.wrap(function(...) return coroutine.yield(...) end) P(co(1, 2, 3)) P(co(4, 5)) co = coroutine.wrap(function() local t = {} for i = 1, 200 do t[i] = i end local r = {coroutine.yield(unpack(t))} return #r end) P(select("#", co())) P(co(unpack((function() local t = {} for i = 1, 150 do t[i] = i end return t end)())))
local function rec(n) if n == 0 then coroutine.yield("bottom") return 0 end return 1 + rec(n - 1) end co = coroutine.wrap(rec) P(co(500)) P(co())
-- errors
co = coroutine.create(function() error("msg") end) P(coroutine.resume(co)) P(coroutine.status(co)) P(coroutine.resume(co)) co = coroutine.create(function() error({code = 5}) end) local ok, e = coroutine.resume(co) P(ok, type(e), e.code) co = coroutine.create(function() local x = nil; return x.y end) P(coroutine.resume(co)) co = coroutine.wrap(function() error("wrapped") end) P(pcall(co)) P(pcall(co)) co = coroutine.wrap(function() error({1}) end) P(select("#", pcall(co)))
local function callw() local w = coroutine.wrap(function() error("pos") end) w() end P(pcall(callw)) local function callw2() local w = coroutine.wrap(function() error("pos", 0) end) local x = w() return x end P(pcall(callw2))
P(pcall(coroutine.resume, coroutine.create(function() return 1 end))) P(coroutine.resume(coroutine.create(function(...) return select("#", ...) end), nil, nil, nil))
-- boundaries
P(coroutine.resume(coroutine.create(function() table.sort({3, 2, 1}, function(a, b) coroutine.yield() return a < b end) end))) P(coroutine.resume(coroutine.create(function() string.gsub("a", "a", function() coroutine.yield() end) end)))
P(pcall(coroutine.yield, 1)) P(coroutine.resume(coroutine.create(function() return pcall(table.sort, {3, 2, 1}, coroutine.yield) end)))
-- nesting and status
local outer outer = coroutine.create(function() local inner = coroutine.create(function() P(coroutine.status(outer)) coroutine.yield("in") return "inner end" end) P(coroutine.resume(inner)) P(coroutine.status(inner)) coroutine.yield("out") P(coroutine.resume(inner)) P(coroutine.status(inner), coroutine.resume(inner)) end) P(coroutine.resume(outer)) P(coroutine.resume(outer)) P(coroutine.status(outer))
co = coroutine.create(function() P(coroutine.resume(co)) P(coroutine.status(co)) end) P(coroutine.resume(co)) local c1, c2 c1 = coroutine.create(function() P(coroutine.resume(c2)) end) c2 = coroutine.create(function() P(coroutine.resume(c1)) end) P(coroutine.resume(c1)) co = coroutine.wrap(function() return pcall(co) end) P(co())
-- producer, consumer; permutations; sieve
local function producer() return coroutine.create(function() for _, v in ipairs{"a", "b", "c"} do coroutine.yield(v) end end) end local function filter(p) return coroutine.create(function() local n = 1 while true do local _, x = coroutine.resume(p) if not x then return end coroutine.yield(n .. x) n = n + 1 end end) end local f = filter(producer()) while true do local _, x = coroutine.resume(f) if not x then break end io.write(x, " ") end P()
local function permgen(a, n) n = n or #a if n <= 1 then coroutine.yield(a) else for i = 1, n do a[n], a[i] = a[i], a[n] permgen(a, n - 1) a[n], a[i] = a[i], a[n] end end end for p in coroutine.wrap(function() permgen({1, 2, 3}) end) do io.write(table.concat(p), " ") end P()
local function gensieve() local function g() return coroutine.wrap(function() for i = 2, 60 do coroutine.yield(i) end end) end local function filt(p, gg) return coroutine.wrap(function() for n in gg do if n % p ~= 0 then coroutine.yield(n) end end end) end local x = g() while true do local n = x() if not n then break end io.write(n, " ") x = filt(n, x) end P() end gensieve()
-- closures and upvalues shared between coroutines
do local v = 0 local cos = {} for i = 1, 3 do cos[i] = coroutine.wrap(function() while true do v = v + i coroutine.yield(v) end end) end for _ = 1, 2 do for i = 1, 3 do io.write(cos[i](), " ") end end P(v) end do local get, set local c = coroutine.wrap(function() local x = 1 get = function() return x end set = function(n) x = n end coroutine.yield() x = x + 1 coroutine.yield() end) c() set(10) P(get()) c() P(get()) set(5) P(get()) end
do local fns = {} local c = coroutine.create(function() local up = "open" fns[1] = function() return up end error("dies") end) P(coroutine.resume(c)) P(fns[1]()) end
-- wrap inside for with extra values, vararg passing
for a, b in coroutine.wrap(function() coroutine.yield(1, 2) coroutine.yield(3, 4) end) do io.write(a, b, " ") end P() P(coroutine.wrap(function(...) return ... end)(1, nil, 3))
-- pcall inside coroutine inside pcall
P(pcall(function() local c = coroutine.wrap(function() local ok, e = pcall(function() coroutine.yield(1) error("inner", 0) end) coroutine.yield(e) error("outer", 0) end) P(c(), c()) c() end))
co = coroutine.wrap(function() local ok, err = pcall(function() pcall(function() coroutine.yield("deep") error("one", 0) end) coroutine.yield("mid") error("two", 0) end) P(ok, err) end) P(co()) P(co()) co()
co = coroutine.wrap(function() P(xpcall(function() coroutine.yield(1) local x = nil; x() end, function(m) return "handled: " .. m end)) end) co() co()
co = coroutine.wrap(function() P(xpcall(function() error("x") end, function(m) coroutine.yield("from handler") return "h" end)) end) P(pcall(co))
P(select("#", coroutine.resume(coroutine.create(function() return end)))) P(coroutine.resume(coroutine.create(coroutine.yield), 1, 2)) local yc = coroutine.create(coroutine.yield) coroutine.resume(yc, 1) P(coroutine.resume(yc, "back")) P(coroutine.wrap(pcall)(error, "e")) P(coroutine.wrap(coroutine.wrap(function() return 1 end))())
P(pcall(coroutine.wrap(function() return coroutine.resume(coroutine.create(function() error("a", 0) end)) end))) P(coroutine.status(coroutine.create(print)), pcall(coroutine.status, 1)) P(pcall(coroutine.create, 1)) P(pcall(coroutine.resume, 1))
