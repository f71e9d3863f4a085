-- Assignment, scoping, closures, loops, goto, varargs, numbers.
local x, y = 1, 2 x, y = y, x print(x, y)
local a, b = 48, 18 while b ~= 0 do a, b = b, a % b end print(a)
local t = {1, 2, 3} local i = 1 i, t[i] = i + 1, 20 print(i, t[1], t[2])
do local a = {} local i = 3 i, a[i], a[i + 1] = 7, "x", "y" print(i, a[3], a[4]) end
do local t, u = {n = 1}, nil t.x, t = 5, {} print(t.x) end
do local a, b, c = (function() return 1, 2, 3 end)() print(a, b, c) a, b, c = 0, (function() return 1, 2, 3 end)() print(a, b, c) a, b, c = (function() return 1, 2, 3 end)(), 10 print(a, b, c) end
do local a, b = 1 print(a, b) local c, d = 1, 2, 3 print(c, d) end
print((function(...) return select("#", ...) end)(nil, nil, nil), (function(...) local a, b = ... return b, a end)(1, 2, 3))
print((function(a, b, ...) return a, b, ... end)(1), (function(a, ...) return ... end)(1, 2, 3), ((function(...) return ... end)(1, 2)))
local function va(...) local t = {...} local u = {..., "x"} local v = {"a", ...} return #t, #u, #v, select(2, ...) end print(va(1, 2, 3)) print(va())
local function va2(...) return (...) end print(va2(1, 2), va2())
local function vn(n, ...) if n == 0 then return ... end return vn(n - 1, n, ...) end print(vn(10)) print(select("#", vn(200)))
-- closures
local fs = {} for i = 1, 3 do fs[i] = function() i = i + 1 return i end end print(fs[1](), fs[1](), fs[2](), fs[3]())
local gs = {} for k, v in ipairs{"a", "b"} do gs[k] = function() return k, v end end print(gs[1](), gs[2]())
local ws = {} do local i = 1 while i <= 3 do local j = i ws[i] = function() j = j + 1 return j end i = i + 1 end end print(ws[1](), ws[1](), ws[2]())
local rs = {} do local i = 0 repeat local j = i * 10 rs[#rs + 1] = function() return j end i = i + 1 until j >= 20 end print(rs[1](), rs[2](), rs[3](), #rs)
local function counter() local n = 0 return function() n = n + 1 return n end, function() return n end, function(v) n = v end end
local inc, get, set = counter() inc() inc() print(get()) set(10) print(inc(), get())
do local f local function g() return f end f = g print(g() == g) end
local shared = {} for i = 1, 2 do local n = 0 shared[i] = {function() n = n + 1 end, function() return n end} end shared[1][1]() shared[1][1]() shared[2][1]() print(shared[1][2](), shared[2][2]())
-- upvalues after caught errors
local keep do local v = 1 keep = {function() return v end, function(x) v = x end} pcall(function() v = 2 error("x") end) end print(keep[1]()) keep[2](9) print(keep[1]())
local out = {} pcall(function() local v = "alive" out[1] = function() return v end error("x") end) print(out[1]())
-- loops
for i = 3, 1 do print("never") end for i = 3, 1, -1 do io.write(i, " ") end print() for i = 1, 2, 0.25 do io.write(i, " ") end print() for i = 0.1, 0.5, 0.1 do io.write(i, " ") end print()
for i = 1, 3 do local i = i * 2 io.write(i, " ") end print() for i = 1, math.huge do if i > 3 then break end io.write(i, " ") end print() for i = -1, -3, -1 do io.write(i, " ") end print() for i = 1, 0 / 0 do print("nan") end
for i = 10, 1, -3 do io.write(i, ",") end print() for i = 1, 3 do for j = 1, 3 do if j == 2 then break end io.write(i, j, " ") end end print()
do local n = 0 while true do n = n + 1 if n % 2 == 0 then goto cont end if n > 7 then break end io.write(n, " ") ::cont:: end print() end
do local i = 1 ::top:: if i <= 3 then io.write(i, " ") i = i + 1 goto top end print() end
for i = 1, 3 do for j = 1, 3 do if j == 2 then goto next_i end io.write(i, ":", j, " ") end ::next_i:: end print()
do goto skip do print("skipped") end ::skip:: print("after") end
do local fs = {} do local i = 1 ::again:: local x = i fs[i] = function() x = x + 1 return x end i = i + 1 if i <= 3 then goto again end end print(fs[1](), fs[1](), fs[2](), fs[3]()) end
do local k = 0 repeat local done = k > 2 if not done then k = k + 1 goto c end ::c:: until k > 2 print(k) end
local function gotos(n) if n == 1 then goto one elseif n == 2 then goto two end do return "other" end ::one:: do return "one" end ::two:: return "two" end print(gotos(1), gotos(2), gotos(3))
local goto_ = 1 local t2 = {["goto"] = 5} print(t2["goto"])
-- and / or / not
print(1 and 2, nil and 1, false and 1, 1 or 2, nil or 2, false or nil, nil and nil, not nil, not 0, not not 1) print(1 == 1 and "y" or "n", 1 == 2 and "y" or "n", (1 < 2) == true, (nil == false))
local function tf(v) if v then return "T" else return "F" end end print(tf(nil), tf(false), tf(0), tf(""), tf({}))
local function cond(a, b, c) return a and b or c end print(cond(1, 2, 3), cond(nil, 2, 3), cond(1, nil, 3), cond(1, false, nil))
local function cmp(a, b) local r = a < b local s = a <= b local u = a == b local v = a ~= b local w = a > b local x = a >= b return r, s, u, v, w, x end print(cmp(1, 2)) print(cmp(2, 2)) print(cmp("a", "b")) print(cmp(0 / 0, 1)) print(cmp(0, -0))
do local x = 5 local y = x > 3 and x < 10 local z = not (x == 5) local w = x ~= 5 or x == 5 print(y, z, w) end
do local n = 0 local function f(v) n = n + 1 return v end local _ = f(nil) and f(1) local _ = f(1) or f(2) local _ = f(1) and f(nil) or f(3) print(n) end
do local a = nil local b = a or {} print(type(b)) a = a or 5 a = a and a + 1 print(a) local c = a == 6 or nil print(c) local d = (a == 7) or (a == 6 and "six") print(d) end
if nil then print("no") end if false then print("no") else print("else") end while false do print("no") end while nil do end repeat until true if not nil then print("yes") end if 1 and nil then print("no") end if nil or 1 then print("or") end
-- arithmetic and precedence
print(2 ^ 3 ^ 2, -2 ^ 2, not 1 == 2, 1 .. 2 .. 3, "a" .. 1 + 2, 2 * 3 % 4, -3 % 5, 3 % -5, -3 % -5, 5.5 % 2, -5.5 % 2, 1e15 % 7, 5 % math.huge, -5 % math.huge, 5 % -math.huge, 0 % 5, -0 % 5) print(5 % 0, 0 / 0 ~= 0 / 0, 1 / 0, -1 / 0, 1 / -0, 0 ^ 0, 2 ^ 0.5, 10 / 3, 7 / 2, -7 / 2, 1e308 * 10, 2 ^ 53 + 1, 1 - 0.9)
print(1 < 2 == true, "abc" < "abd", not (1 > 2), #"abc" + 1, -#"ab", - -2, not not nil, 2 ^ -1, -2 ^ -2) print(0x10, 0xff, 0xA.8, 0x1p4, 0x.1p1, 1e2, 1E+2, 1e-2, .5, 5., 3.14159, 0x7fffffff, 0xffffffff, 0xffffffffff, 1e309, 0b101 or 0)
print(100000000000000, 99999999999999, 123456.789e3, 1e14, 1e15, 12345678901234567890, 0.1 + 0.2, 1 / 3, 100 / 3, 1e-5, 1e-4, 123e-7, 5e-324, 1.7976931348623157e308, 2 ^ 31, 2 ^ 32, 2 ^ 63, -2 ^ 63, 1e100) print(-0, 0, -0 + 0, 0 * -1, 1e300 * 1e10, -1e300 * 1e10, 3.0, -3.0, 1e0, 3.10)
local z = 0 print(-z, 1 / -z, z / z, -(z / z), 0 - z)
print(8 % 3.5, -8 % 3.5, 8 % -3.5, 2 ^ 10, 10 % 3, -10 % 3, 10 % -3, 1e17 % 3, 5 % 3 % 2, 2 ^ 2 ^ 0, 7 - 2 - 1, 8 / 2 / 2)
-- strings
print("a\tb\\n\65\066\x41\z
       c\u{48}\u{20ac}\u{1F600}", 'single "q"', "dq 'q'", "\"", '\'', "nl\
x", #"\0a\0", [[long
string]], [==[with ]] and ]=] inside]==], [[
first newline dropped]], "a\r\nb", "\a\b\f\v" == "\7\8\12\11")
print(#"abc", ("x"):rep(3), ("%d"):format(5), ("abc"):upper():lower(), #[[

]])
-- tables
local t3 = {1, 2, nil, 4} print(#t3, t3[4]) print(#{n = 1}, #{1, 2, 3}, #{nil}, #{nil, 2}, #{1, nil}) t3 = {[1] = "a", [2] = "b", "c"} print(t3[1], t3[2]) t3 = {"x", [1] = "y"} print(t3[1]) t3 = {f = 1, f = 2} print(t3.f) t3 = {1, 2, 3, (function() return 4, 5 end)()} print(#t3) t3 = {(function() return 4, 5 end)(), 6} print(#t3, t3[2]) t3 = {((function() return 4, 5 end)())} print(#t3)
local big = {} for i = 1, 300 do big[i] = i end print(#big, big[300]) for i = 300, 151, -1 do big[i] = nil end print(#big) big[#big + 1] = "n" print(#big, big[151])
local rev = {} for i = 10, 1, -1 do rev[i] = i end print(#rev) local sparse = {} sparse[1000000] = 1 sparse[-1] = 2 sparse[0] = 3 sparse[1.5] = 4 print(#sparse, sparse[1000000], sparse[-1], sparse[0], sparse[1.5], sparse[2 ^ 53]) sparse[2 ^ 53] = "big" print(sparse[2 ^ 53])
do local q = {} local h, tl = 1, 0 for i = 1, 1000 do tl = tl + 1 q[tl] = i if i % 3 ~= 0 then q[h] = nil h = h + 1 end end local s = 0 for i = h, tl do s = s + q[i] end print(h, tl, s) end
local keys = {} keys[1] = "int" keys["1"] = "str" keys[true] = "bool" keys[print] = "fn" keys[keys] = "self" print(keys[1], keys["1"], keys[true], keys[print], keys[keys], keys[false]) print(({[0] = "z"})[-0], ({[1] = "one"})[1.0], ({["a"] = 1}).a)
local t257 = {} for i = 1, 300 do t257[#t257 + 1] = "v" .. i end local l = load("return {" .. table.concat((function() local r = {} for i = 1, 600 do r[i] = tostring(i) end return r end)(), ",") .. ", (function() return 'a','b' end)()}")() print(#l, l[600], l[601], l[602])
l = load("local f = function() return 1, 2 end return {" .. ("f(),"):rep(300) .. "f()}")() print(#l, l[300], l[301], l[302])
print(next({}), next({5}), type(next), rawlen, #"x", rawequal("a", "a"), rawequal({}, {})) do local t = {10, 20, 30, a = 1} local n = 0 for k, v in pairs(t) do n = n + 1 t[k] = nil end print(n, next(t)) end
do local t = {} for i = 1, 100 do t["k" .. i] = i end local s = 0 for k, v in pairs(t) do if v % 2 == 0 then t[k] = nil end s = s + v end local c = 0 for _ in pairs(t) do c = c + 1 end print(s, c) end
for k, v in next, {1, 2} do io.write(k, "=", v, " ") end print() print(pcall(function() for k, v in pairs({1, 2}), nil do end end)) for i, v in ipairs({1, 2, nil, 4}) do io.write(i, " ") end print() for w in ("a b c"):gmatch("%a") do io.write(w, ".") end print()
local function iter(n) local i = 0 return function() i = i + 1 if i <= n then return i, i * i end end end for i, sq in iter(3) do io.write(i, ":", sq, " ") end print() for a, b, c, d in iter(1) do print(a, b, c, d) end
for i, v in setmetatable({}, {__call = function(self, s, c) c = (c or 0) + 1 if c < 4 then return c, "v" .. c end end}) do io.write(i, v, " ") end print()
-- methods and chains
local obj = {n = 0} function obj:add(k) self.n = self.n + k return self end function obj.static(k) return k * 2 end print(obj:add(1):add(2).n, obj.static(4), obj["add"](obj, 5).n) local s = "chain" print(s:upper():sub(2):rep(2, "-"))
local A = {} A.__index = A function A.new(x) return setmetatable({x = x}, A) end function A:get() return self.x end local B = setmetatable({}, {__index = A}) B.__index = B function B.new(x) local o = A.new(x) return setmetatable(o, B) end function B:twice() return self:get() * 2 end print(A.new(1):get(), B.new(2):get(), B.new(3):twice())
function obj.nested() return {m = {k = function(...) return select("#", ...) end}} end print(obj.nested().m.k(1, 2, 3), obj.nested().m:k(1))
-- comments, semicolons, blocks
do --[[ multi
line ]] local x = 1; --[==[ other ]==] local y = 2; print(x + y) end -- end
do end do do end end ; (function() end)() ; local _ = (print) ; ("x"):len()
local function ret() return end print(ret(), (ret())) print(select("#", ret()), select("#", (ret())))
local function many() return 1, 2, 3 end print(many(), many()) print((many())) print(#{many(), many()})
print(type(_G), _G._G == _G, _VERSION, type(_ENV)) x_global = 5 print(_G.x_global, rawget(_G, "x_global")) _G["y global"] = 6 print(_G["y global"])
local function fenv() return zzz end setfenv(fenv, {zzz = "env"}) print(fenv(), getfenv(fenv).zzz, getfenv(1) == _G, getfenv(0) == _G, getfenv(print) == _G) do local function f() setfenv(1, {v = 1, setfenv = setfenv}) v = 2 return v end print(f(), v) end
do local env = setmetatable({}, {__index = _G, __newindex = function(t, k, v) rawset(t, k, v * 2) end}) local f = load("a = 5 b = a return a, b, print ~= nil", "=c", "t", env) print(f()) print(env.a, rawget(_G, "a")) end
do local function lvl() return getfenv(2) end local e = {lvl = lvl} local f = setfenv(function() return lvl() end, e) local g = setfenv(function() local r = lvl() return r end, e) print(g() == e) end
