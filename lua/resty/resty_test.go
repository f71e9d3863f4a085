package resty

import (
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice/internal/servers"
	"sluice/lua/regex"
	"sluice/lua/shdict"
	"sluice/lua/socket"
	"sluice/lua/vm"
)

// world is a VM with as much of ngx as the modules need, and a clock that
// ngx.sleep moves.
type world struct {
	now  time.Time
	ends []func()
}

func (w *world) Block(_ *vm.Thread, f func())        { f() }
func (w *world) Deadline(*vm.Thread) time.Time       { return time.Time{} }
func (w *world) Log(*vm.Thread, int, string)         {}
func (w *world) Request(*vm.Thread) any              { return w }
func (w *world) Phase(*vm.Thread) string             { return "content" }
func (w *world) AtEnd(_ *vm.Thread, f func()) func() { w.ends = append(w.ends, f); return func() {} }

func (w *world) RequestBody(*vm.Thread) (io.Reader, net.Conn, error) {
	return strings.NewReader(form), nil, nil
}

var _ socket.BodyHost = (*world)(nil)

// form is the body that ngx.req.socket gives.
const form = "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\nX: y\r\n\r\nvalue\r\nof a\r\n--B\r\n\r\n\r\n--B--\r\nepilogue"

// run runs a chunk that returns values, and joins them; errors give their text.
func run(t testing.TB, source string) string {
	t.Helper()
	w := &world{now: time.Unix(1e9, 0)}
	s := vm.NewState(vm.Options{ReadFile: os.ReadFile, PackagePath: "/usr/share/lua/5.1/?.lua"})
	ngx := vm.NewTable(0, 10)
	s.Globals().SetStr("ngx", ngx.Value())
	ngx.SetStr("null", vm.Light("null"))
	def(ngx, "now", func(t *vm.Thread) int { t.PushNumber(float64(w.now.UnixMilli()) / 1000); return 1 })
	def(ngx, "sleep", func(t *vm.Thread) int {
		w.now = w.now.Add(time.Duration(t.CheckNumber(1) * float64(time.Second)))
		return 0
	})
	def(ngx, "escape_uri", func(t *vm.Thread) int { t.PushString(t.CheckString(1)); return 1 })
	def(ngx, "unescape_uri", func(t *vm.Thread) int { t.PushString(t.CheckString(1)); return 1 })
	vars := vm.NewTable(0, 1)
	vars.SetStr("content_type", vm.String(`multipart/form-data; boundary="B"`))
	ngx.SetStr("var", vars.Value())
	ngx.SetStr("req", vm.NewTable(0, 1).Value())
	regex.Install(ngx, regex.Config{})
	shdict.Install(ngx, shdict.NewZones(map[string]int64{"d": 100 << 10}, func() time.Time { return w.now }))
	pools := socket.NewPools(socket.Config{})
	t.Cleanup(func() { pools.Close() })
	socket.Install(ngx, w, pools)
	pre := s.Globals().GetStr("package").AsTable().GetStr("preload").AsTable()
	for name, open := range Modules() {
		pre.SetStr(name, vm.NewFunc(name, func(t *vm.Thread) int { t.Push(open(t)); return 1 }))
	}
	p, err := vm.Compile("=t", source)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(p, s.Globals()))
	for _, f := range w.ends {
		f()
	}
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, v := range vals {
		out = append(out, s.Main().ToString(v))
	}
	return strings.Join(out, " ")
}

func check(t *testing.T, source, want string) {
	t.Helper()
	if got := run(t, source); got != want {
		t.Errorf("%s\n got %q\nwant %q", source, got, want)
	}
}

func TestEveryModuleLoads(t *testing.T) {
	for name := range Modules() {
		check(t, "return type(require('"+name+"'))", "table")
	}
}

func TestLock(t *testing.T) {
	const head = `local lock = require "resty.lock" local a, b = lock:new("d", {timeout = 1}), lock:new("d", {timeout = 1, exptime = 0.4}) `
	check(t, head+`return lock:new("x")`, "nil dictionary not found")
	check(t, head+`return a:lock(nil)`, "nil nil key")
	check(t, head+`return a:lock("k"), (a:lock("k")), a:unlock(), a:unlock()`, "0 nil 1 nil unlocked")
	check(t, head+`a:lock("k") return b:lock("k")`, "nil timeout")
	check(t, head+`b:lock("k") local e = a:lock("k") return e > 0.3 and e < 1`, "true")
	check(t, head+`a:lock("k") return a:expire(2), b:expire(2)`, "true nil unlocked")
}

func TestALockNobodyHasGoesWithTheCollector(t *testing.T) {
	zones := shdict.NewZones(map[string]int64{"d": 100 << 10}, nil)
	ngx := vm.NewTable(0, 1)
	shdict.Install(ngx, zones)
	d := ngx.GetStr("shared").AsTable().GetStr("d")
	zones.Dict("d").Store(0, "k", shdict.Value{Kind: shdict.Boolean, Num: 1}, 0, 0)
	s := vm.NewState(vm.Options{})
	if _, err := s.Call(vm.NewFunc("guard", guard), d, vm.String("k"), vm.Number(30)); err != nil {
		t.Fatal(err)
	}
	s = nil
	for range 200 {
		runtime.GC()
		if v, _, _ := zones.Dict("d").Get("k"); v.Kind == shdict.None {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("still locked")
}

func TestLRUCache(t *testing.T) {
	const head = `local c = require("resty.lrucache").new(2) `
	check(t, head+`c:set("a", 1) c:set("b", false) c:get("a") c:set("c", 3) return c:get("a"), (c:get("b")), c:count(), c:capacity()`, "1 nil 2 2")
	check(t, head+`c:set("a", 1, 1, 7) ngx.sleep(2) return c:get("a")`, "nil 1 7")
	check(t, head+`c:set("a", 1) c:set("b", 2) return table.concat(c:get_keys(), ","), table.concat(c:get_keys(1), ",")`, "b,a b")
	check(t, head+`c:set("a", 1) return c:delete("a"), c:delete("a"), c:count(), (c:get("a"))`, "true false 0 nil")
	check(t, head+`for i = 1, 10 do c:set(i, i) end c:flush_all() c:set("z", 1) return c:count(), (c:get("z")), (c:get(10))`, "1 1 nil")
	check(t, `return require("resty.lrucache.pureffi").new(0)`, "nil size too small")
}

func TestLimits(t *testing.T) {
	check(t, `local l = require("resty.limit.req").new("d", 2, 1)
local r = {}
for i = 1, 3 do local delay, excess = l:incoming("k", true) r[#r+1] = tostring(delay) .. "/" .. tostring(excess) end
ngx.sleep(1) local d, e = l:incoming("k", true) r[#r+1] = d .. "/" .. e
l:uncommit("k")
return table.concat(r, " ")`, "0/0 0.5/1 nil/rejected 0/0")
	check(t, `ngx.shared.d:set("k", 1) return require("resty.limit.req").new("d", 2, 1):incoming("k", true)`, "nil shdict abused by other users")
	check(t, `return require("resty.limit.req").new("x", 2, 1)`, "nil shared dict not found")
	check(t, `local l = require("resty.limit.conn").new("d", 1, 1, 0.5)
local a, b = l:incoming("k", true) local c, d = l:incoming("k", true) local e, f = l:incoming("k", true)
return a, b, c, d, e, f, l:is_committed(), l:leaving("k", 0.7), l:uncommit("k")`, "0 1 0.5 2 nil rejected false 1 0")
	check(t, `local l = require("resty.limit.count").new("d", 2, 10)
local a, b = l:incoming("k", true) local _, c = l:incoming("k", true) local d, e = l:incoming("k", true)
ngx.sleep(11) local _, f = l:incoming("k", true)
return a, b, c, d, e, f, l:uncommit("k")`, "0 1 0 nil rejected 1 2")
	check(t, `local count, traffic = require "resty.limit.count", require "resty.limit.traffic"
local a, b = count.new("d", 10, 10), count.new("d", 1, 10)
local states = {}
local x = traffic.combine({a, b}, {"a", "b"}, states)
local y, err = traffic.combine({a, b}, {"a", "b"})
return x, states[1], states[2], y, err, ngx.shared.d:get("a")`, "0 9 0 nil rejected 9")
}

func TestDigestsAndStrings(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		check(t, `local str, m = require "resty.string", require "resty.`+name+`" local h = m:new() h:update("he") h:update("llo") local a = str.to_hex(h:final()) h:reset() h:update("hello") return a, a == str.to_hex(h:final())`, want+" true")
	}
	f("md5", "5d41402abc4b2a76b9719d911017c592")
	f("sha1", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")
	f("sha224", "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193")
	f("sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
	check(t, `local s = require "resty.string" return s.atoi("0123"), s.atoi("12a"), s.atoi(""), s.atoi("99999999999999999999")`, "123 -1 -1 -1")
	check(t, `local r = require "resty.random" return #r.bytes(5), #r.bytes(7, true), r.bytes(8) ~= r.bytes(8)`, "5 7 true")
	check(t, `return (require("resty.sha256").update({}, "x"))`, "t:1: bad argument #1 to 'update' (digest object expected)")
}

// The first two are lua-resty-string's own examples.
func TestAES(t *testing.T) {
	const head = `local aes, str = require "resty.aes", require "resty.string" `
	check(t, head+`local a = aes:new("secret") return str.to_hex(a:encrypt("hello")), a:decrypt(a:encrypt("hello"))`, "7b47a4dbb11e2cddb2f3740c9e3a552b hello")
	check(t, head+`local a = aes:new("secret", "12345678", aes.cipher(256, "cbc"), aes.hash.sha512, 5) return a:decrypt(a:encrypt("a longer text, of several blocks"))`, "a longer text, of several blocks")
	for _, mode := range []string{"ecb", "cbc", "ctr", "ofb", "cfb8", "cfb128"} {
		check(t, head+`local a = aes:new("k", nil, aes.cipher(192, "`+mode+`")) return a:decrypt(a:encrypt("some text")), #a:decrypt(a:encrypt(("x"):rep(100)))`, "some text 100")
	}
	check(t, head+`local a = aes:new("0123456789abcdef", nil, aes.cipher(128, "gcm"), {iv = "0123456789ab"})
local e = a:encrypt("hi", "aad") return #e[1], #e[2], a:decrypt(e[1], e[2], "aad"), (a:decrypt(e[1], e[2], "x"))`, "2 16 hi nil")
	check(t, head+`return aes:new("short", nil, nil, {iv = "0123456789abcdef"})`, "nil bad key length")
	check(t, head+`return aes:new("k", "salt")`, "nil salt must be 8 characters or nil")
	check(t, head+`return aes.cipher(99)`, "nil")
	check(t, head+`return aes:new("k"):decrypt("garbage")`, "nil EVP_DecryptFinal_ex failed")
}

func TestUpload(t *testing.T) {
	got := run(t, `local form = require("resty.upload"):new(5) form:set_timeout(30000)
local r = {}
repeat
    local typ, res, err = form:read()
    if not typ then return err end
    if type(res) == "table" then res = '{"' .. res[1] .. '","' .. res[2] .. '"}' end
    r[#r+1] = typ .. " " .. tostring(res)
until typ == "eof"
r[#r+1] = form:read() .. " nil"
return table.concat(r, "|")`)
	const want = `header {"Content-Disposition","form-data; name="a""}|header {"X","y"}|body value|body ` + "\r\nof |body a" +
		"|part_end nil|body |part_end nil|eof nil|eof nil"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSplit(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		check(t, `return table.concat(require("ngx.re").split(`+args+`), "|")`, want)
	}
	f(`"a,b,c,d", ","`, "a|b|c|d")
	f(`"a,b,,", ","`, "a|b")
	f(`"a,b,c", ",", nil, nil, 2`, "a|b,c")
	f(`"a1b2c", "([0-9])"`, "a|1|b|2|c")
	f(`"abc", ""`, "a|b|c")
	f(`"abcd", "(?=c)"`, "ab|cd")
	f(`"a,b,c", ",", nil, {pos = 3}`, "b|c")
}

// The upstream files are Debian's, unchanged.
func upstream(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat("/usr/share/lua/5.1/nginx/" + name + ".lua"); err != nil {
		t.Fatalf("%v; apt-get install lua-nginx-%s", err, name)
	}
}

func TestUnchangedMemcachedClient(t *testing.T) {
	upstream(t, "memcached")
	host, port, _ := net.SplitHostPort(servers.Memcached(t))
	check(t, `local memcached = require "nginx.memcached"
local m = memcached:new() m:set_timeout(5000)
assert(m:connect("`+host+`", `+port+`))
local r = {}
local function add(...) for i = 1, select("#", ...) do r[#r+1] = tostring((select(i, ...))) end end
add(m:set("a", "hello", 0, 5)) add(m:get("a")) add(m:get("none"))
add(m:add("a", "x")) add(m:incr("a", 1)) add(m:set("n", 10)) add(m:incr("n", 5))
add(#(m:get({"a", "n"}).a)) add(m:delete("a")) add(m:get("a"))
local _, _, cas = m:gets("n") add(m:cas("n", 20, cas))
add(m:set_keepalive(1000, 10))
assert(m:connect("`+host+`", `+port+`)) add(m:get_reused_times()) add(m:close())
return table.concat(r, " ")`,
		"1 hello 5 nil nil nil nil NOT_STORED nil CLIENT_ERROR cannot increment or decrement non-numeric value 1 15 2 1 nil nil nil 1 1 1 1")
}

func TestUnchangedRedisClient(t *testing.T) {
	upstream(t, "redis")
	host, port, _ := net.SplitHostPort(servers.Redis(t).Addr)
	check(t, `local redis = require "nginx.redis"
local red = redis:new() red:set_timeouts(5000, 5000, 5000)
assert(red:connect("`+host+`", `+port+`))
local r = {}
local function add(...) for i = 1, select("#", ...) do r[#r+1] = tostring((select(i, ...))) end end
add(red:set("dog", "an animal")) add(red:get("dog")) add(red:get("none") == ngx.null)
red:hmset("h", {a = 1}) add(red:hget("h", "a"))
red:init_pipeline() red:set("x", 1) red:incr("x") red:get("x") local res = red:commit_pipeline() add(res[1], res[2], res[3])
red:multi() red:set("t", "5") red:lpop("dog") local ans = red:exec() add(ans[1], ans[2][1])
add(red:eval("return {KEYS[1], ARGV[1]}", 1, "k", "v")[2])
add(red:set_keepalive(1000, 10))
assert(red:connect("`+host+`", `+port+`)) add(red:get_reused_times()) add(red:close())
return table.concat(r, " ")`,
		"OK an animal true 1 OK 2 2 OK false v 1 1 1")
}
