local log = {}
local mt = {}
for _, ev in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "concat", "len", "eq", "lt", "le", "index", "newindex", "call", "tostring"} do
  mt["__" .. ev] = function(a, b, c) return ev .. ":" .. type(a) .. ":" .. type(b) .. ":" .. type(c) end
end
local o, p = setmetatable({}, mt), setmetatable({}, mt)
print(o + 1, 1 + o, o + o, o - 1, 1 - o, o * 2, 2 * o, o / 2, 2 / o, o % 2, 2 % o, o ^ 2, 2 ^ o, -o, "x" + o == nil)
print(o .. "x", "x" .. o, o .. o, 1 .. o, o .. 1, "a" .. "b" .. o, o .. "a" .. "b", "a" .. o .. "b", #o)
print(o == p, o ~= p, o < p, o <= p, o > p, o >= p, o == o, not (o < p))
print(o.foo, o[1], o[nil], o(), o(1), o(1, 2), tostring(o))
o.x = 1 print(rawget(o, "x")) rawset(o, "y", 2) print(o.y) o.y = 3 print(rawget(o, "y"))
print(pcall(function() return o < 1 end)) print(pcall(function() return 1 < o end)) print(pcall(function() return o <= "x" end))
print(pcall(function() return {} + 1 end)) print(pcall(function() return o == 1, o ~= nil end))
local q = setmetatable({}, {__eq = function() return true end}) print(q == setmetatable({}, {__eq = function() return true end}), q == setmetatable({}, getmetatable(q)))
local lt = {__lt = function(a, b) return a.v < b.v end} local function V(v) return setmetatable({v = v}, lt) end
print(V(1) < V(2), V(2) < V(1), V(1) <= V(2), V(2) <= V(1), V(1) >= V(1), V(1) > V(0)) if V(1) < V(2) then print("then") else print("else") end if not (V(1) <= V(2)) then print("then") else print("else") end
local le = {__le = function(a, b) return "truthy" end, __lt = function() return nil end} local a, b = setmetatable({}, le), setmetatable({}, le) print(a <= b, a < b, a >= b, a > b, not (a < b)) while a < b do end
-- index chains
local base = {greet = "hi", n = 1} local mid = setmetatable({n = 2}, {__index = base}) local top = setmetatable({}, {__index = mid}) print(top.greet, top.n, top.none) top.n = 3 print(top.n, mid.n)
local fn = setmetatable({}, {__index = function(t, k) return k .. "!" end}) print(fn.a, fn[1], rawget(fn, "a")) local store = {} local prox = setmetatable({}, {__newindex = store, __index = store}) prox.a = 1 print(rawget(prox, "a"), store.a, prox.a)
local chain = setmetatable({}, {__newindex = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v) log[#log + 1] = k end})}) chain.z = 5 print(rawget(chain, "z"), #log, log[1])
local strmt = getmetatable("") print(strmt.__index == string, ("x").len == string.len, ("abc").foo) strmt.__index = function(s, k) if type(k) == "number" then return s:sub(k, k) end return string[k] end print(("hello")[2], ("hello"):upper()) strmt.__index = string
strmt.__add = function(a, b) return "sadd" end print(pcall(function() return "a" + "b" end), "1" + "2") strmt.__add = nil strmt.__call = function(s, x) return s .. x end print(("f")("g")) strmt.__call = nil strmt.__unm = function(s) return s:reverse() end print(-"abc", -"12") strmt.__unm = nil
-- __call
local callable = setmetatable({}, {__call = function(self, ...) return select("#", ...), ... end}) print(callable(1, nil, 3)) print(pcall(callable, 1, 2)) print(select(2, pcall(callable, nil))) local cc = setmetatable({}, {__call = callable}) print(pcall(function() return cc(5) end)) print((function(f) return f(7) end)(callable)) do local t = {f = callable} print(t.f(1), (t:f(2))) end
local function tailc() return callable("t") end print(tailc()) for i, v in setmetatable({}, {__call = function(_, s, i) i = (i or 0) + 1 if i < 3 then return i, i end end}) do io.write(i, " ") end print() table.sort({3, 1, 2}, function(a, b) return a < b end)
-- len, unm on userdata-like proxies
local np = newproxy(true) getmetatable(np).__len = function() return 42 end getmetatable(np).__index = function(t, k) return "np." .. k end getmetatable(np).__eq = function() return true end getmetatable(np).__lt = function() return true end getmetatable(np).__call = function(self, x) return x end getmetatable(np).__concat = function(a, b) return "cat" end getmetatable(np).__tostring = function() return "NP" end
print(#np, np.x, np(9), np .. "a", "a" .. np, tostring(np), type(np), np == newproxy(np), np < newproxy(np)) print(type(newproxy()), getmetatable(newproxy()), newproxy() == newproxy()) print(#setmetatable({1, 2}, {__len = function() return 99 end}))
-- tostring and names
print(tostring(setmetatable({}, {__tostring = function() return "custom" end})), tostring(nil), tostring(true), tostring(12), tostring("s")) print((tostring({}):gsub("0x%x+", "PTR")), (tostring(print):gsub("builtin.*", "X"):gsub("0x%x+", "X")), (tostring(coroutine.create(print)):gsub("0x%x+", "PTR")))
print(setmetatable({}, {__tostring = function() return "via print" end})) print(string.format("%s|%10s|%-10s|%.2s", setmetatable({}, {__tostring = function() return "fmt" end}), setmetatable({}, {__tostring = function() return "r" end}), setmetatable({}, {__tostring = function() return "l" end}), setmetatable({}, {__tostring = function() return "cut" end})))
-- __metatable, __mode, __gc are accepted
print(getmetatable(setmetatable({}, {__metatable = 5})), pcall(setmetatable, setmetatable({}, {__metatable = 5}), nil)) local weak = setmetatable({}, {__mode = "k", __gc = function() end}) weak[{}] = 1 print(getmetatable(weak).__mode)
print(getmetatable(setmetatable({}, nil)), setmetatable(setmetatable({}, {}), nil) ~= nil) local m1 = {} local tt = setmetatable({}, m1) print(tt.foo) m1.__index = {foo = "late"} print(tt.foo) m1.__index = nil print(tt.foo) rawset(m1, "__index", function() return "raw" end) print(tt.foo)
m1.__newindex = function(t, k, v) rawset(t, k, v + 1) end tt.n = 1 print(tt.n) tt.n = 10 print(tt.n) m1.__newindex = nil tt.m = 1 print(tt.m) m1.__eq = function() return true end print(tt == setmetatable({}, m1)) m1.__eq = nil print(tt == setmetatable({}, m1))
-- rawget/rawset/rawequal ignore metamethods; table functions too
local rt = setmetatable({}, {__index = function() return 7 end, __newindex = function() error("no") end}) rawset(rt, 1, "r") print(rawget(rt, 1), rawget(rt, 2), rt[2], #rt) print(table.concat(setmetatable({"a", "b"}, {__index = function() return "z" end}), ",")) table.insert(rt, "ins") print(rawget(rt, 2)) print(next(setmetatable({}, {__index = {1, 2}})), unpack(setmetatable({1}, {__index = function() return 5 end}), 1, 2))
for i, v in ipairs(setmetatable({1}, {__index = function(t, i) if i < 4 then return i end end})) do io.write(i, " ") end print()
-- concat with many operands and numbers
local cm = setmetatable({}, {__concat = function(a, b) local function s(x) return type(x) == "table" and "T" or tostring(x) end return "(" .. s(a) .. "." .. s(b) .. ")" end}) print("a" .. "b" .. cm .. "c" .. "d", cm .. cm .. cm, 1 .. 2 .. cm .. 3 .. 4, "x" .. cm .. "y" .. cm .. "z") local cn = setmetatable({}, {__concat = function(a, b) return cm end}) print(("p" .. cn .. "q"), (cn .. "r" .. "s") == cm) print(type(cn .. "x" ))
-- arithmetic order: left operand's metamethod first
local l, r = setmetatable({}, {__add = function() return "left" end}), setmetatable({}, {__add = function() return "right" end}) print(l + r, r + l, 1 + r, "5" + l) local u = setmetatable({}, {__unm = function(a, b) return rawequal(a, b) end}) print(-u)
-- multiple results are cut
local mr = setmetatable({}, {__index = function() return 1, 2 end, __add = function() return 3, 4 end, __call = function() return 5, 6 end, __len = function() return 7, 8 end, __unm = function() return end, __concat = function() end}) print(mr.x, mr + 1, mr(), -mr, mr .. "x") local t = {mr.x, mr.y} print(#t)
