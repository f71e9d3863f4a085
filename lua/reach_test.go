package lua

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"
)

// reach finds every function that a script can lay its hands on, through
// tables and metatables, by path; call calls number n of them with arguments
// of all kinds, right ones among them.
const reach = `
local objects = {ngx = ngx, tcp = ngx.socket.tcp(), udp = ngx.socket.udp(), dict = ngx.shared.d, ["_G"] = _G,
  header = ngx.header, var = ngx.var, headers = ngx.req.get_headers(), text = "", proxy = newproxy(true), gmatch = ("a"):gmatch("a"),
  regmatch = ngx.re.gmatch("a", "a"), wrap = coroutine.wrap(function() coroutine.yield(1) end),
  sub = ngx.location.capture("/x"), thread = ngx.thread.spawn(function() return 1 end)}
for _, m in ipairs{"cjson", "cjson.safe", "ngx.semaphore", "ngx.base64", "ngx.req", "ngx.resp", "resty.lock", "resty.lrucache", "resty.limit.req",
  "resty.limit.count", "resty.limit.conn", "resty.string", "resty.sha256", "resty.md5", "resty.aes", "resty.random", "table.new", "table.clear"} do
  local ok, mod = pcall(require, m)
  if ok then objects[m] = mod end
end
objects.sem = objects["ngx.semaphore"].new(1)
objects.sha = objects["resty.sha256"]:new()
objects.aes = objects["resty.aes"]:new("secret")
objects.lru = objects["resty.lrucache"].new(3)
local seen, found, kept = {}, {}, {}
local function walk(path, v, depth)
  if v == nil or seen[v] or depth > 6 then return end
  seen[v] = true
  local kind = type(v)
  if kind == "function" then found[#found + 1] = {path, v} return end
  if kind == "userdata" then kept[#kept + 1] = v end
  if kind == "table" then
    local names = {}
    for k in next, v do if type(k) == "string" then names[#names + 1] = k end end
    table.sort(names)
    for _, k in ipairs(names) do walk(path .. "." .. k, rawget(v, k), depth + 1) end
    for i = 1, 3 do walk(path .. "[" .. i .. "]", rawget(v, i), depth + 1) end
  end
  if kind ~= "function" and kind ~= "number" and kind ~= "boolean" then walk(path .. "<meta>", debug.getmetatable(v), depth + 1) end
end
local names = {}
for k in pairs(objects) do names[#names + 1] = k end
table.sort(names)
for _, k in ipairs(names) do walk(k, objects[k], 0) end
local n, seed = tonumber(ngx.var.arg_n), tonumber(ngx.var.arg_seed)
if n == 0 then return ngx.print(#found) end
local pool = {nil, true, false, -1, 0, 1, 2.5, 1e300, -1e300, 0/0, 1/0, "", "a", "\0\255%", ("x"):rep(5000), "1", "*a", "o", {}, {1, 2}, {a = 1}, {{}}, print,
  function(...) return ... end, error, coroutine.create(function() end), ngx.null, newproxy(), 12, 3, 1000, 2^31, -2^31, 2^53}
local size = 34
for _, k in ipairs(names) do size = size + 1 pool[size] = objects[k] end
for _, u in ipairs(kept) do size = size + 1 pool[size] = u end
math.randomseed(seed * 1000 + n)
local pcall, random, unpack, f = pcall, math.random, unpack, found[n]
ngx.log(ngx.ERR, "calls ", f[1])
for i = 1, 150 do
  local args, count = {}, random(0, 6)
  for j = 1, count do args[j] = pool[random(size)] end
  pcall(f[2], unpack(args, 1, count))
end
`

func TestNoFunctionAScriptCanReachPanics(t *testing.T) {
	// A runtime for each: what a function does to the tables of its VM must not hide what the next one does.
	call := func(n, seed int) (body string, log *countingHandler) {
		log = new(countingHandler)
		rt := NewRuntime(Config{
			Logger: slog.New(log), Shared: map[string]int{"d": 1 << 20}, MinVMs: 1,
			Budget: Budget{Wall: 300 * time.Millisecond, Instructions: 3e6, Memory: 16 << 20, Output: 1 << 20},
		})
		defer func() { _ = rt.Close() }()
		b, err := rt.Load(map[string]string{"t.lua": reach}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx := do(t, b, Handler{Content: "t.lua"}, "POST", fmt.Sprintf("/?n=%d&seed=%d", n, seed), "body")
		return string(ctx.Response.Body()), log
	}
	body, log := call(0, 0)
	count, err := strconv.Atoi(body)
	if err != nil || count < 400 {
		t.Fatalf("%d functions, %v; %q", count, err, log.all())
	}
	seeds, _ := strconv.Atoi(os.Getenv("SLUICE_FUZZ_SEEDS"))
	for seed := range max(1, seeds) {
		for n := 1; n <= count; n++ {
			if _, log := call(n, seed); log.count("panic in Lua machine") > 0 {
				t.Errorf("function %d, seed %d: %.3000q", n, seed, log.all())
			}
		}
	}
}
