package modules

import (
	"strings"
	"testing"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/resp"
	"sluice/internal/servers"
	"sluice/lua"
)

// scripted runs code as a handler with sluice.cache and sluice.redis; the
// result is the body, or the last line of the log when the handler failed.
func scripted(t *testing.T, cacheAddr, redisAddr string) func(code string) string {
	t.Helper()
	store, err := memcache.New(memcache.Config{Servers: []string{cacheAddr}, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	client, err := resp.New(resp.Config{Addrs: []string{redisAddr}, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	cfg := lua.Config{Modules: []lua.Module{
		{Name: "sluice.cache", Open: cacheModule{store}.open}, {Name: "sluice.redis", Open: redisModule{client}.open},
	}}
	return func(code string) string {
		t.Helper()
		code = "local cache, redis, say = require 'sluice.cache', require 'sluice.redis', ngx.say\n" + code
		res, err := lua.RunOnce(cfg, map[string]string{"t.lua": code}, "t.lua", lua.OneRequest{})
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if res.Status != 200 {
			first, _, _ := strings.Cut(strings.Join(res.Log, "\n"), "\nstack")
			return first
		}
		return strings.TrimSuffix(string(res.Body), "\n")
	}
}

func awaitStores(t *testing.T, run func(string) string) {
	t.Helper()
	for range 2000 {
		if run(`say(cache.get("nothing") == nil and redis.call("ping"))`) == "PONG" && run(`say(select(2, cache.get("nothing")))`) == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the stores do not answer")
}

func TestScriptsUseTheGatewaysMemcachedAndRedis(t *testing.T) {
	run := scripted(t, servers.Memcached(t), servers.Redis(t).Addr)
	awaitStores(t, run)
	f := func(code, want string) {
		t.Helper()
		if got := run(code); !strings.HasSuffix(got, want) || got != want && !strings.HasPrefix(got, "[error]") {
			t.Errorf("%s\n got %q\nwant %q", code, got, want)
		}
	}
	f(`say(cache.set("a", "x\0\255\r\ny", 60, 7), cache.get("a"))`, "truex\x00\xff\r\ny7")
	f(`say(cache.get("none"))`, "nil")
	f(`say(cache.add("a", 1))`, "nilnot stored")
	f(`say(cache.add("b", 1), cache.replace("b", 22), cache.get("b"))`, "true"+"true"+"220")
	f(`say(cache.replace("none", 1))`, "nilnot stored")
	f(`local got, err = cache.get_multi{"a", "b", "none"} say(#got.a, got.b, got.none, err)`, "622nilnil")
	f(`say(cache.delete("b"), cache.delete("b"))`, "truenilnot found")
	f(`say(cache.incr("n", 1))`, "nilnot found")
	f(`say(cache.incr("n", 2, 10, 60), cache.incr("n", 2, 10), cache.incr("n", -100))`, "12140")
	f(`say(cache.get("n"))`, "0 0") // memcached pads what decr shortened
	f(`say(cache.get("sp ace"))`, "nilbad key")
	f(`say(cache.get(("k"):rep(251)))`, "nilbad key")
	f(`say(cache.set("big", ("x"):rep(2000000)))`, "niltoo large")
	f(`local _, err = cache.get_multi{"a", "", "b"} say(err)`, "bad key")
	f(`cache.set("rp:x", "1")`, "t.lua:2: bad argument #1 to 'set' (the key of a record cannot be written from a script)")
	f(`cache.delete("w:x:ann")`, "(the key of a record cannot be written from a script)")
	for _, key := range []string{"lk:u:ann", "pos:bj1:7", "warm:users:lease", "sluice:canary", "probe:x"} {
		f(`cache.set("`+key+`", "1")`, "(the key of a record cannot be written from a script)")
	}
	f(`cache.get()`, "bad argument #1 to 'get' (string expected, got no value)")
	f(`cache.get_multi{"a", {}}`, "(array of strings expected, found a table)")
	f(`cache.set("a", "b", -1)`, "bad argument #3 to 'set' (seconds expected, from 0 (never) to 2592000 (30 days))")
	f(`cache.set("a", "b", 0/0)`, "(seconds expected, from 0 (never) to 2592000 (30 days))")
	f(`cache.incr("a", 1.5)`, "bad argument #2 to 'incr' (whole number expected)")
	f(`say(select(2, cache.incr("a", 1)))`, "memcache: server error: CLIENT_ERROR cannot increment or decrement non-numeric value")

	f(`say(redis.call("set", "k", "x\0y"), #redis.call("get", "k"))`, "OK3")
	f(`say(redis.call("GET", "none") == ngx.null)`, "true")
	f(`say(redis.call("incrby", "big", 9007199254740992))`, "9.007199254741e+15")
	f(`say(redis.call("incr", "k"))`, "falseERR value is not an integer or out of range")
	f(`redis.call("hset", "h", "a", 1, "b", "2") local r = redis.call("hmget", "h", "a", "none", "b") say(r[1], r[2] == ngx.null, r[3])`, "1true2")
	f(`local r = redis.pipeline{{"set", "p", 1}, {"incr", "p"}, {"lpush", "p", 1}, {"get", "p"}} say(r[1], r[2], r[3][1], r[3][2], r[4])`,
		"OK2falseWRONGTYPE Operation against a key holding the wrong kind of value2")
	f(`say(#redis.pipeline{})`, "0")
	f(`say(redis.call("eval", "return {KEYS[1], ARGV[1], {1, redis.error_reply('no')}}", 1, "key", "arg")[3][2][2])`, "ERR no")
	f(`redis.call("flushall")`, "bad argument #1 to 'call' (the command FLUSHALL is not open to scripts: it would wait, change the shared connection, or reach the server itself)")
	f(`redis.call("blpop", "q", 0)`, "(the command BLPOP is not open to scripts: it would wait, change the shared connection, or reach the server itself)")
	f(`redis.call("del", "a", "{b07}:meta")`, "(the key {b07}:meta is the house's own)")
	f(`redis.call("set", "a", nil)`, "(arguments of SET must be strings or numbers, found a nil)")
	f(`redis.call("set", "a", true)`, "(argument of SET is a boolean: say what it is to be, '1' or 'true')")
	f(`redis.call()`, "(name of a Redis command expected)")
	f(`redis.pipeline{{}}`, "(name of a Redis command expected)")
	f(`redis.pipeline{1}`, "(array of {command, ...} expected, found a number)")
}

func TestScriptsAreToldThatAStoreIsGone(t *testing.T) {
	const nowhere = "127.0.0.1:1"
	run := scripted(t, nowhere, nowhere)
	words := map[string]bool{"down": true, "timeout": true, "lost": true}
	for _, code := range []string{`say(select(2, cache.get("a")))`, `say(select(2, cache.set("a", 1)))`, `say(select(2, cache.incr("a", 1, 5)))`,
		`local got, err = cache.get_multi{"a"} say(err)`, `say(select(2, redis.call("get", "a")))`, `say(select(2, redis.pipeline{{"get", "a"}}))`} {
		if got := run(code); !words[got] {
			t.Errorf("%s: %q", code, got)
		}
	}
}

// Each call, pipeline and get_multi is one backend call of the budget.
func TestCallsOfScriptsAreCounted(t *testing.T) {
	mem, red := servers.Memcached(t), servers.Redis(t).Addr
	store, err := memcache.New(memcache.Config{Servers: []string{mem}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client, err := resp.New(resp.Config{Addrs: []string{red}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	cfg := lua.Config{Budget: lua.Budget{Calls: 3}, Modules: []lua.Module{
		{Name: "sluice.cache", Open: cacheModule{store}.open}, {Name: "sluice.redis", Open: redisModule{client}.open},
	}}
	f := func(code string, status int) {
		t.Helper()
		res, err := lua.RunOnce(cfg, map[string]string{"t.lua": code}, "t.lua", lua.OneRequest{})
		if err != nil || res.Status != status {
			t.Errorf("%s: %v, %v", code, res, err)
		}
	}
	const head = "local cache, redis = require 'sluice.cache', require 'sluice.redis'\n"
	f(head+`cache.get("a") cache.get_multi{"a", "b", "c", "d"} redis.pipeline{{"get", "a"}, {"get", "b"}, {"get", "c"}} ngx.say(1)`, 200)
	f(head+`cache.get("a") cache.get("a") redis.call("get", "a") pcall(cache.get, "a") ngx.say(1)`, 500)
}
