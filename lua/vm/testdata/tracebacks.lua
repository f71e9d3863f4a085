local function show(s) print((s:gsub("\n[^\n]*%[C%]: at 0x%x+", ""))) end
local function lvl3() show(debug.traceback("msg")) end
local function lvl2() lvl3() end
function lvl1() lvl2() end
lvl1()
local t = {m = function(self) show(debug.traceback("in m", 1)) end, f = {g = function() show(debug.traceback()) end}}
t:m() t.f.g()
show(debug.traceback("lvl 2", 2))
print(debug.traceback(nil) == debug.traceback(nil), debug.traceback({}) ~= nil, type(debug.traceback(print)))
show(tostring(debug.traceback(12)))
xpcall(function() local x = nil; x.y = 1 end, function(m) show(debug.traceback(m)) end)
xpcall(function() error({}) end, function(m) show(debug.traceback("tbl")) end)
xpcall(function() string.rep() end, function(m) show(debug.traceback(m)) end)
xpcall(lvl1, print)
pcall(function() show(debug.traceback("in pcall")) end)
local mt = setmetatable({}, {__index = function(t, k) show(debug.traceback("index " .. k)) end, __add = function() show(debug.traceback("add")) return 1 end,
  __lt = function() show(debug.traceback("lt")) end, __concat = function() show(debug.traceback("cat")) end, __newindex = function() show(debug.traceback("ni")) end,
  __eq = function() show(debug.traceback("eq")) end, __call = function() show(debug.traceback("call")) end, __unm = function() show(debug.traceback("unm")) end})
local _ = mt.foo
_ = mt + 1
_ = mt < mt
_ = mt .. "x"
mt.y = 1
_ = -mt
mt()
for k in (function() show(debug.traceback("iter")) end) do end
table.sort({3, 2, 1}, function(a, b) if a == 3 or b == 3 then show(debug.traceback("sort")) error("stop", 0) end return a < b end == nil or function(a,b) return a < b end)
string.gsub("a", "a", function() show(debug.traceback("gsub")) end)
local co = coroutine.create(function(a) local b = coroutine.yield(a) error("oops " .. b) end)
print(coroutine.resume(co, 1)) show(debug.traceback(co)) show(debug.traceback(co, "m")) show(debug.traceback(co, "m", 1))
print(coroutine.resume(co, 2)) show(debug.traceback(co))
local function deep(n) if n == 0 then show(debug.traceback("deep")) else deep(n - 1) end return 1 end
for _, n in ipairs{5, 9, 10, 19, 20, 21, 40} do coroutine.wrap(deep)(n) end
local function tail(n) if n == 0 then show(debug.traceback("tail")) return 1 end return tail(n - 1) end
tail(3)
local f = load("local function g() return debug.traceback('x') end return g()", "=chunk") show((f()))
show(load("return (debug.traceback('y'))", "@some/file.lua")())
show((load("local s = debug.traceback('z') return s", "text of chunk")()))
-- debug.getinfo
local function info(f, w) local i = debug.getinfo(f, w) local k = {} for n, v in pairs(i) do if type(v) ~= "table" and type(v) ~= "function" then k[#k + 1] = n .. "=" .. tostring(v) end end table.sort(k) print(table.concat(k, " ")) end
info(1) info(info) info(print, "S") info(1, "l") info(1, "n") info(lvl1, "Su") info(load("x=1", "=c"), "S")
local function who() info(1, "n") info(2, "n") info(1, "l") end
who() t.who = who t.who() t:who() pcall(who)
print(debug.getinfo(100)) print(pcall(debug.getinfo, "x")) print(pcall(debug.getinfo, 1, "X")) print(pcall(debug.getinfo))
print(debug.getinfo(1, "f").func ~= nil, debug.getinfo(print, "f").func == print)
local function locals(a, b, ...) local c = a; do local d = 1 end local e = b
  local i = 1 while true do local n, v = debug.getlocal(1, i) if not n or n:sub(1,1) == "(" then break end print(i, n, type(v)) i = i + 1 end
  print(debug.getlocal(1, -1)) print(debug.getlocal(1, -2)) print(debug.getlocal(1, -3)) end
locals(1, "x", "va1", "va2")
print(debug.getlocal(locals, 1), debug.getlocal(locals, 2), debug.getlocal(locals, 3))
print(pcall(debug.getlocal, 100, 1))
local function ups() return t, mt end
print(debug.getupvalue(ups, 1), (debug.getupvalue(ups, 2)), debug.getupvalue(ups, 3))
local v1 = 1 local function gv() return v1 end local function sv(x) v1 = x end
print(debug.setupvalue(gv, 1, 42), gv(), v1) sv(7) print(gv(), debug.upvalueid(gv, 1) == debug.upvalueid(sv, 1))
local v2 = "two" local function gv2() return v2 end debug.upvaluejoin(gv, 1, gv2, 1) print(gv(), v1)
do local x = 5 print(debug.setlocal(1, 1, nil)) local n for i = 1, 100 do n = debug.getlocal(1, i) if n == "x" then debug.setlocal(1, i, 99) break end end print(x) end
