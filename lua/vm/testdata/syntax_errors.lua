-- What load says of bad source, each on a line of its own.
local cases = {
 "x = ", "x = = 2", "for i=1 do end", "if x then\n\n", "x = 'abc", "x = [[abc", "goto x", "break", "::a:: ::a::",
 "do goto x; local a; ::x:: print(a) end", "x = 0x", "x = '\\q'", "x = '\\400'", "function f() return ... end",
 "local a <const> = 1", "x = }", "x = 'a\nb'", "a.b:c = 1", "f() = 1", "--[[ x", "x=1 y=2 return x,y 5", "x = ~1", "x = 1 // 2",
 "for", "for x", "for x,", "for x,y = 1,2 do end", "for x in", "for x in y", "for x in y do", "while", "while x", "while x do", "repeat", "repeat until",
 "function", "function f", "function f(", "function f(a", "function f(a,", "function f(a,)", "function f(...", "function f(...,a)", "function a.b.c:d.e() end",
 "local", "local 1", "local x,", "local function", "local function 1", "local function f.x() end", "return return", "return 1,", "x", "x.y", "x:y", "x,y", "x,y =", "x.1", "x[1", "x[", "x[]",
 "f(", "f(1", "f(1,", "f(1,)", "(f", "(f)", "()", "(", ")", "1", "'x'", "{}", "nil", "x = {", "x = {1", "x = {1,", "x = {a=", "x = {[1]}", "x = {[1]=", "x = {[1", "x = {,}",
 "x = function", "x = function(", "x = function() ", "if", "if x", "if x then else", "if x then elseif", "if x then elseif y then else end end", "end", "else", "until x",
 "x = 1 +", "x = 1 + +", "x = not", "x = #", "x = -", "x = 1..2", "x = 1 .. ", "x = a and", "x = a == ", "x = 3..2", "x = 3x", "x = 0xg", "x = 1e", "x = 1e+", "x = .e1", "x = 0x1p", "x = 08", "x = 1.2.3",
 "x = \"abc\\", "x = \"abc\\x1\"", "x = '\\u{110000}'", "x = '\\u{zz}'", "x = '\\u'", "x = '\\xg'", "x = [=[ abc ]]", "x = [=", "x = [==x", "--[==[ x ]=]", "x = @", "x = $", "x = `", "x = \\", "x = !y", "x != y", "x += 1", "x ? y",
 "goto 1", "goto", "::", "::x", "::x:", "::1::", "goto continue; local x; ::continue:: x = 1", "do break end", "while true do local function f() break end end",
 "repeat local x; if y then goto cont end; local z; ::cont:: until z", "local t = {} t.x, t:y() = 1", "a, b() = 1", "(a) = 1", "a + 1", "a = b c = d e",
 "f\n(x)", "local x = f\n(g)", "x = '\\065\\10\\0", "return {", "return function() end end", "x = {1;2;;3}", ";", "x = 1;; y = 2", "and", "or x", "x = y z", "local function f() end end",
 "x = 'a' 'b'", "x:y 'a' .z", "f{} = 1", "x = ...", "local ... = 1", "for ... in x do end", "for i = 1, 2, 3, 4 do end", "x = {...}", "x = {f()", "\27", "x = 1 \0 y", "x = '\0", "x\1y", "\200 = 1",
 "goto f; do ::f:: end", "do ::f:: end goto f", "::f:: do ::f:: end goto f", "goto = 1", "local goto = 1", "x.goto = 1", "function x.end() end", "x.end = 1", "x = {end=1}",
 "local a; local function f() goto a end ::a::", "for i=1,2 do ::a:: end ::a:: goto a",
}
for i, src in ipairs(cases) do
  local f, err = load(src)
  print(i, f and "ok" or "bad", err)
end
for _, name in ipairs{"=name", "@file.lua", "text", "a\nb", ("x"):rep(100), "@" .. ("d/"):rep(50) .. "f.lua", "=" .. ("n"):rep(100), "", "=", "@", "x\0y", "line one is rather long but still fits in", "l\r\nm", ("y"):rep(44), ("y"):rep(45), ("y"):rep(46), ("y"):rep(47), ("y"):rep(48), ("y"):rep(49)} do
  print(select(2, load("x = $", name)))
  print(pcall(load("error('e')", name)))
end
print(load("x =\n\n\n+", "=n"))
print(load(("("):rep(250) .. "1" .. (")"):rep(250)))
print(load("x = " .. ("{"):rep(250) .. ("}"):rep(250)))
print(load(("do "):rep(250) .. ("end "):rep(250)))
local many = {} for i = 1, 250 do many[i] = "v" .. i end
print(load("local " .. table.concat(many, ",")))
print(load("local function f() local " .. table.concat(many, ",") .. " end", "=x"))
local ups = {} for i = 1, 100 do ups[i] = "local u" .. i .. " = " .. i end
local use = {} for i = 1, 70 do use[i] = "u" .. i end
print(type(load(table.concat(ups, "\n") .. "\nreturn function() return " .. table.concat(use, "+") .. " end", "=x")))
print(load("return 'a'", "=x", "b"))
print(load("return 'a'", "=x", "t")())
print(type(load(function() return nil end)))
local parts = {"return ", "1 ", "+ 2"}
local i = 0
print(load(function() i = i + 1 return parts[i] end)())
print(pcall(load, function() return {} end))
print(pcall(load))
print(pcall(load, nil))
print(pcall(load, {}))
print(loadstring("return ...", "=x")(1, 2))
print(load("return x", "=e", "t", {x = 5})())
